package mirror

import (
	"errors"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// openSource opens the file that a step writes. The error is ErrVanished if something else has the name by now. A file of one name may be another one, of
// which an event tells; what has several must be the very one: its other names are linked to what is read here.
func openSource(share *tree.Root, s *Step) (*os.File, error) {
	file, err := share.OpenFile(s.Path)
	if tree.Absent(err) || errors.Is(err, unix.ELOOP) || errors.Is(err, tree.ErrNotRegular) {
		return nil, ErrVanished
	}
	if err != nil || s.Source.Nlink < 2 {
		return file, err
	}
	e, err := tree.Stat(file)
	if err == nil && identity(e) != identity(s.Source) {
		err = ErrVanished
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// maxCopies is how often a file that changes while it is copied is copied again at once. Then what was copied last is taken, with the time
// the file had before: it looks different at the next comparison, which the event of the write that came in between will cause.
const maxCopies = 3

const copyBytes = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// sink takes a file's content in order, and starts over when it is told to.
type sink interface {
	Write([]byte) (int, error)
	Hole(n int64) error // the next bytes are zeros that take no room
	Again() error
}

// rewritable is a file as a sink.
type rewritable struct {
	*os.File
	offset int64
	err    error // of this file, not of the one that is copied
}

func (r *rewritable) Write(b []byte) (int, error) {
	if r.err = tree.WriteAt(r.File, b, r.offset); r.err != nil {
		return 0, r.err
	}
	r.offset += int64(len(b))
	return len(b), nil
}

func (r *rewritable) Hole(n int64) error {
	r.err = tree.Hole(r.File, r.offset, n)
	r.offset += n
	return r.err
}

func (r *rewritable) Again() error {
	r.offset, r.err = 0, r.Truncate(0)
	return r.err
}

// nowhere is a sink for what is only to be hashed.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) Hole(int64) error            { return nil }
func (nowhere) Again() error                { return nil }

// copyStable copies a file as it was at one moment, and returns how it was then.
func copyStable(from *os.File, into sink, progress func()) (*change.Entry, uint64, error) {
	buffer := copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(buffer)
	for copies := 1; ; copies++ {
		before, err := tree.Stat(from)
		if err != nil {
			return nil, 0, err
		}
		if !before.Xattrs.Known() {
			return nil, 0, change.ErrXattrs
		}
		size, hash, err := copyOnce(from, into, before.Size, buffer[:], progress)
		if err != nil {
			return nil, 0, err
		}
		after, err := tree.Stat(from)
		if err != nil {
			return nil, 0, err
		}
		if copies == maxCopies || size == after.Size && before.Mtime == after.Mtime && before.Ctime == after.Ctime {
			before.Size = size
			return before, hash, nil
		}
		if err := into.Again(); err != nil {
			return nil, 0, err
		}
	}
}

// copyOnce copies at most limit bytes: a file may grow faster than it is copied. The hash is of the content, whether zeros are holes or not.
func copyOnce(from *os.File, into sink, limit int64, buffer []byte, progress func()) (size int64, sum uint64, err error) {
	hash := newSumming()
	data := func(b []byte) error {
		hash.write(b)
		progress()
		_, err := into.Write(b)
		return err
	}
	hole := func(n int64) error {
		for rest := n; rest > 0; rest -= min(rest, copyBytes) {
			hash.write(zeros[:min(rest, copyBytes)])
			progress()
		}
		return into.Hole(n)
	}
	size, err = tree.Read(from, limit, buffer, data, hole)
	return size, hash.sum(), err
}

var zeros [copyBytes]byte

func hashFile(root *tree.Root, path string) (uint64, error) {
	f, err := root.OpenFile(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buffer := copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(buffer)
	_, hash, err := copyOnce(f, nowhere{}, math.MaxInt64, buffer[:], func() {})
	return hash, err
}
