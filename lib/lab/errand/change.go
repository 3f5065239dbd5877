package errand

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Series writes small files one after the other, and prints each when it is closed.
type Series struct {
	Directory string
	Files     int
	Bytes     int
	Interval  time.Duration // from the start of one to that of the next, unless the first takes longer
	For       time.Duration // no file is begun later; 0: no limit
	Then      string        // program to run after each file
}

// Run prints a [Done] a line.
func (s Series) Run(ctx context.Context, out io.Writer) error {
	if err := os.MkdirAll(s.Directory, 0o755); err != nil {
		return err
	}
	started := time.Now()
	for n := range s.Files {
		begun := time.Now()
		if s.For > 0 && begun.Sub(started) > s.For {
			return nil
		}
		d := Done{File: fileName(n), Begun: begun.UnixNano()}
		err := write(filepath.Join(s.Directory, d.File), Content(d.File, s.Bytes))
		if err != nil {
			return err
		}
		d.Ended = now()
		if err := errors.Join(then(ctx, s.Then), tell(out, d)); err != nil {
			return err
		}
		if err := pause(ctx, time.Until(begun.Add(s.Interval))); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// Do makes a change, prints when it began and ended, and then runs a program.
func Do(ctx context.Context, out io.Writer, change func() error, program string) error {
	d := Done{Begun: now()}
	if err := change(); err != nil {
		return err
	}
	d.Ended = now()
	return errors.Join(tell(out, d), then(ctx, program))
}

// Burst writes many small files as fast as it goes, so many in each folder.
func Burst(ctx context.Context, dir string, files, folder, size int) error {
	if folder < 1 {
		return errors.New("a folder holds one file at least")
	}
	folders, names := burst(files, folder)
	for i, name := range folders {
		into := filepath.Join(dir, name)
		if err := os.MkdirAll(into, 0o755); err != nil {
			return err
		}
		for _, name := range names(i) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := write(filepath.Join(into, name), Content(name, size)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Large writes one large file.
func Large(ctx context.Context, path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	pattern := largePattern()
	for n := int64(0); n*blockSize < size; n++ {
		if _, err := f.Write(block(pattern, n)); err != nil || ctx.Err() != nil {
			f.Close()
			return errors.Join(err, ctx.Err())
		}
	}
	return f.Close()
}

// Flip changes one byte of a file in place.
func Flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err = f.ReadAt(b[:], at); err == nil {
		b[0] = Flipped(b[0])
		_, err = f.WriteAt(b[:], at)
	}
	return errors.Join(err, f.Close())
}
