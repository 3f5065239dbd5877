package watch

import (
	"bytes"
	"strings"
)

// roster is the files of a directory, for the day when events are lost: what has gone then can be told only by whoever knew it before.
// It is pure. Only directories with directories in them have it; all others are compared as a whole.
//
// It is a log, "+name" and "-name" with a zero after each, because most directories have few files and memory is dear.
type roster struct {
	log   []byte
	clean int // length after the log was last made short
	// from is when the directory was listed. What went between a lost event before that and the listing is not known. 0: no matter.
	from int64
}

func (n *roster) had(name string)  { n.add('+', name) }
func (n *roster) lost(name string) { n.add('-', name) }

// growthBytes is how much a log may grow before it is made short even if it was empty.
const growthBytes = 256

func (n *roster) add(sign byte, name string) {
	n.log = append(append(append(n.log, sign), name...), 0)
	if len(n.log) > 2*n.clean+growthBytes {
		var short []byte
		for name := range n.set() {
			short = append(append(append(short, '+'), name...), 0)
		}
		n.log, n.clean = short, len(short)
	}
}

func (n *roster) set() map[string]struct{} {
	set := map[string]struct{}{}
	for entry := range strings.SplitSeq(string(bytes.TrimSuffix(n.log, []byte{0})), "\x00") {
		switch {
		case entry == "":
		case entry[0] == '+':
			set[entry[1:]] = struct{}{}
		default:
			delete(set, entry[1:])
		}
	}
	return set
}

// missing are the names it has that another log does not have.
func (n *roster) missing(log []byte) (missing []string) {
	have := (&roster{log: log}).set()
	for name := range n.set() {
		if _, there := have[name]; !there {
			missing = append(missing, name)
		}
	}
	return missing
}

// first is the first name of a log that has no "-", and what follows it.
func first(log []byte) (name string, rest []byte) {
	entry, rest, _ := bytes.Cut(log, []byte{0})
	return string(entry[1:]), rest
}
