package mirror

import (
	"slices"

	"hafs/lib/replication/change"
)

// names are the names under which each file of the share was seen, by its inode; it may get further ones at any time, and may have lost some that are
// still here: who uses them has to look.
type names map[fileID][]seenName

// seenName is a name of a file.
type seenName struct {
	path  string
	round uint32 // of the comparisons of everything, in which it was seen last
}

// maxStaleNames is how many names a file with only one may seem to have before the others are forgotten.
const maxStaleNames = 8

// seen notes a name of a file. Beyond the bound only names of files with several are kept.
func (n names) seen(path string, e *change.Entry, round uint32) {
	id := identity(e)
	known := n[id]
	if at := slices.IndexFunc(known, func(name seenName) bool { return name.path == path }); at >= 0 {
		known[at].round = round
		return
	}
	switch now := (seenName{path, round}); {
	case e.Nlink > 1:
		n[id] = append(known, now)
	case len(known) > maxStaleNames:
		n[id] = []seenName{now}
	case len(known) > 0 || len(n) < maxJournal:
		n[id] = append(known, now)
	}
}

// others lists the other names of a file.
func (n names) others(path string, e *change.Entry) []string {
	var others []string
	for _, name := range n[identity(e)] {
		if name.path != path {
			others = append(others, name.path)
		}
	}
	return others
}

// drop drops one name of a file.
func (n names) drop(path string, id fileID) {
	n.keep(id, func(name seenName) bool { return name.path != path })
}

// retain drops what was not seen in a round.
func (n names) retain(round uint32) {
	for id := range n {
		n.keep(id, func(name seenName) bool { return name.round == round })
	}
}

// keep drops the names of a file that are not wanted.
func (n names) keep(id fileID, wanted func(seenName) bool) {
	left := slices.DeleteFunc(n[id], func(name seenName) bool { return !wanted(name) })
	if n[id] = left; len(left) == 0 {
		delete(n, id)
	}
}
