package mirror

import (
	"hash/maphash"
	"io"
	"os"
	"sync"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
)

// maxCopies is how often a file that changes while it is copied is copied again at once. Then what was copied last is taken, with the time
// the file had before: it looks different at the next comparison, which the event of the write that came in between will cause.
const maxCopies = 3

const copyBytes = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// sink takes a file's content, and starts over when it is told to.
type sink interface {
	io.Writer
	Again() error
}

// rewritable is a file as a sink.
type rewritable struct{ *os.File }

func (r rewritable) Again() error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return r.Truncate(0)
}

// copyStable copies a file as it was at one moment, and returns how it was then.
func copyStable(from *os.File, into sink, progress func()) (*change.Entry, uint64, error) {
	buffer := copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(buffer)
	for copies := 1; ; copies++ {
		before, err := tree.Stat(from)
		if err != nil {
			return nil, 0, err
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

// copyOnce copies at most limit bytes: a file may grow faster than it is copied.
func copyOnce(from *os.File, into io.Writer, limit int64, buffer []byte, progress func()) (size int64, sum uint64, err error) {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return 0, 0, err
	}
	var hash maphash.Hash
	hash.SetSeed(hashSeed)
	for {
		if limit-size < int64(len(buffer)) {
			buffer = buffer[:limit-size]
		}
		if len(buffer) == 0 {
			return size, hash.Sum64(), nil
		}
		n, err := from.Read(buffer)
		if n > 0 {
			hash.Write(buffer[:n])
			if _, err := into.Write(buffer[:n]); err != nil {
				return 0, 0, err
			}
			size += int64(n)
			progress()
		}
		if err == io.EOF {
			return size, hash.Sum64(), nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func hashFile(root *tree.Root, path string) (uint64, error) {
	f, err := root.OpenFile(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var hash maphash.Hash
	hash.SetSeed(hashSeed)
	_, err = io.Copy(&hash, f)
	return hash.Sum64(), err
}
