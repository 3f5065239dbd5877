package stream

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Sum is the SHA-256 of a file's content.
type Sum [sha256.Size]byte

// Found is what the replica has at a path, or why that could not be read. Of a directory whose names could not be read the problem follows
// its entry.
type Found struct {
	Path    string
	Entry   *change.Entry // nil: nothing
	Sum     *Sum          // of a file, when asked for
	Problem *Problem
}

// Err is the problem, if there is one.
func (f Found) Err() error {
	if f.Problem == nil {
		return nil
	}
	return *f.Problem
}

const (
	hasSum = 1 << iota
	hasProblem
)

// appendFound writes a path by what it has in common with the one before.
func appendFound(b []byte, before string, f Found) []byte {
	common := 0
	for common < min(len(before), len(f.Path), math.MaxUint16) && before[common] == f.Path[common] {
		common++
	}
	b = appendText(binary.BigEndian.AppendUint16(b, uint16(common)), f.Path[common:])
	flags := byte(0)
	if f.Sum != nil {
		flags |= hasSum
	}
	if f.Problem != nil {
		flags |= hasProblem
	}
	b = appendEntry(append(b, flags), f.Entry)
	if f.Sum != nil {
		b = append(b, f.Sum[:]...)
	}
	if f.Problem != nil {
		b = appendProblem(b, *f.Problem)
	}
	return b
}

func (c *cutter) found(before string) Found {
	common, tail := int(c.uint16()), c.text()
	if c.err == nil && common > len(before) {
		c.fail("%d bytes of %q", common, before)
	}
	if c.err != nil {
		return Found{}
	}
	f := Found{Path: c.checked(before[:common] + tail)}
	flags := c.uint8()
	if flags&^(hasSum|hasProblem) != 0 {
		c.fail("unknown flags %x", flags)
	}
	f.Entry = c.entry()
	if flags&hasSum != 0 {
		f.Sum = &Sum{}
		copy(f.Sum[:], c.take(len(f.Sum)))
	}
	if flags&hasProblem != 0 {
		p := c.problem()
		f.Problem = &p
	}
	return f
}

// rest says what comes after a frame of entries.
type rest byte

const (
	restFollows rest = iota // in the next frame
	restNothing             // the answer is complete
	restUnsaid              // the answer ends here: its limit is reached
	lastRest    = restUnsaid
)

// cutEntries is the body of a frame of entries: what comes after it, then the entries.
func cutEntries(body []byte) (found []Found, after rest, err error) {
	c := cutter{rest: body}
	if after = rest(c.uint8()); after > lastRest {
		c.fail("unknown rest %d", after)
	}
	before := ""
	for c.err == nil && len(c.rest) > 0 {
		f := c.found(before)
		before = f.Path
		found = append(found, f)
	}
	return found, after, c.err
}

// Compare orders paths as a listing has them: depth first, names in the order of their bytes.
func Compare(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return int(order(a[i])) - int(order(b[i]))
		}
	}
	return len(a) - len(b)
}

// Passed says of a path in a listing whether it is not after another one, and whether something below it still may be.
func Passed(path, after string) (passed, into bool) {
	if after == "" || Compare(path, after) > 0 {
		return false, true
	}
	return true, change.Within(after, path)
}

// Names keeps the sorted names of the directory that was read last: a directory of a million files that is listed in parts is read once.
// A name may be of something that is gone by now, and a new one may be missing.
type Names struct {
	directory string
	sorted    []string
}

// keepNames is how many names a directory must have to be worth keeping.
const keepNames = 1024

// Of gives the names in a directory.
func (n *Names) Of(d *tree.Dir) ([]string, error) {
	if n.directory == d.Path() {
		return n.sorted, nil
	}
	names, err := d.List()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	if len(names) >= keepNames {
		n.directory, n.sorted = d.Path(), names
	}
	return names, nil
}

// Forget makes sure that names are read again.
func (n *Names) Forget() { *n = Names{} }

// order puts the slash first: what is in a directory comes before its next sibling.
func order(c byte) byte {
	if c == '/' {
		return 0 // no name has a zero byte
	}
	return c
}

var errOrder = errors.New("the receiver's listing is out of order")
