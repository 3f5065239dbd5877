package tree

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// HoleBytes is the grain of holes: an aligned run of so many zeros is not written.
const HoleBytes = 4096

var zeros [HoleBytes]byte

// Data finds the next data of a file at or after an offset, up to a limit: from start to end, both the limit if there is only a hole. A file system
// that knows nothing of holes has data everywhere.
func Data(f *os.File, offset, limit int64) (start, end int64, err error) {
	if offset >= limit {
		return limit, limit, nil
	}
	start, err = f.Seek(offset, unix.SEEK_DATA)
	switch {
	case is(err, unix.ENXIO): // no data any more
		return limit, limit, nil
	case is(err, unix.EINVAL), is(err, unix.EOPNOTSUPP), is(err, unix.ENOSYS):
		return offset, limit, nil
	case err != nil:
		return 0, 0, err
	}
	end, err = f.Seek(start, unix.SEEK_HOLE)
	if is(err, unix.ENXIO) { // it was shortened meanwhile
		return limit, limit, nil
	}
	return min(start, limit), min(end, limit), err
}

func is(err error, errno unix.Errno) bool {
	path, wrapped := err.(*os.PathError)
	return wrapped && path.Err == errno
}

// Read goes through the first limit bytes of a file in order: data is given what is in it, in pieces that fit into the buffer, hole how many bytes are
// none. The size is how far it came, which is less than the limit if the file ends before.
func Read(f *os.File, limit int64, buffer []byte, data func([]byte) error, hole func(n int64) error) (size int64, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	limit = min(limit, st.Size()) // behind its end a file has neither
	for size < limit {
		start, end := size, limit
		if limit > HoleBytes {
			start, end, err = Data(f, size, limit)
		}
		if err == nil && start > size {
			err = hole(start - size)
		}
		if err != nil {
			return size, err
		}
		for size = start; size < end; {
			n, err := f.ReadAt(buffer[:min(int64(len(buffer)), end-size)], size)
			if n > 0 {
				if err := data(buffer[:n]); err != nil {
					return size, err
				}
				size += int64(n)
			}
			if err == io.EOF {
				return size, nil
			}
			if err != nil {
				return size, err
			}
		}
	}
	return size, nil
}

// WriteAt writes into a file, and makes holes of aligned runs of zeros.
func WriteAt(f *os.File, data []byte, offset int64) error {
	for len(data) > 0 {
		n, empty := run(data, offset)
		var err error
		if empty {
			err = Hole(f, offset, int64(n))
		} else {
			_, err = f.WriteAt(data[:n], offset)
		}
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}

// run is how much at the front is to be written, or is a hole.
func run(data []byte, offset int64) (n int, empty bool) {
	for n < len(data) {
		block := data[n:min(len(data), n+HoleBytes-int((offset+int64(n))%HoleBytes))]
		isEmpty := len(block) == HoleBytes && bytes.Equal(block, zeros[:])
		if n > 0 && isEmpty != empty {
			return n, empty
		}
		empty = isEmpty
		n += len(block)
	}
	return n, empty
}

// Hole makes a part of a file a hole. A file that ends before becomes longer.
func Hole(f *os.File, offset, n int64) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	size := st.Size()
	if inside := min(size, offset+n) - offset; inside > 0 {
		if err := punch(f, offset, inside); err != nil {
			return err
		}
	}
	if size >= offset+n {
		return nil
	}
	return f.Truncate(offset + n)
}

func punch(f *os.File, offset, n int64) error {
	err := retry(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, n)
	})
	if err != unix.EOPNOTSUPP && err != unix.ENOSYS {
		return err
	}
	for n > 0 {
		part := zeros[:min(n, HoleBytes)]
		if _, err := f.WriteAt(part, offset); err != nil {
			return err
		}
		offset, n = offset+int64(len(part)), n-int64(len(part))
	}
	return nil
}

// Copy copies a file's content into an empty one, holes as holes. The file system shares the blocks if it can.
func Copy(into, from *os.File) error {
	st, err := from.Stat()
	if err != nil {
		return err
	}
	for offset := int64(0); offset < st.Size(); {
		start, end, err := Data(from, offset, st.Size())
		if err != nil {
			return err
		}
		if start > offset {
			if err := Hole(into, offset, start-offset); err != nil {
				return err
			}
		}
		if _, err := from.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := into.Seek(start, io.SeekStart); err != nil {
			return err
		}
		n, err := io.Copy(into, io.LimitReader(from, end-start))
		if err != nil || n < end-start { // it was shortened meanwhile
			return err
		}
		offset = end
	}
	return nil
}
