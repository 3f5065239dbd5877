package errand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Look says what is not yet as it should be; nil means that nothing is known to be wrong.
type Look func() error

// Await looks until names and then bytes are right, and prints the moment of the look after which they were. names is cheap and
// asked often, bytes may be nil.
func Await(ctx context.Context, out io.Writer, names, bytes Look, within time.Duration) error {
	if _, err := fmt.Fprintln(out, Ready); err != nil {
		return err
	}
	deadline := time.Now().Add(within)
	for {
		at := time.Now()
		wrong := names()
		looked := time.Since(at)
		if wrong == nil && bytes != nil {
			wrong = bytes()
		}
		if wrong == nil {
			return tell(out, Seen{At: at.UnixNano()})
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", within, wrong)
		}
		if err := pause(ctx, max(leastPause, pauseLooks*looked)); err != nil {
			return err
		}
	}
}

// The pause after a look is that many times as long as the look.
const (
	leastPause = 5 * time.Millisecond
	pauseLooks = 5
)

// Filled looks for the files of [Burst], [PerFolder] in each folder.
func Filled(dir string, files, size int) (named, whole Look) {
	folders, names := burst(files, PerFolder)
	// The folder in which something was missing is the first to be looked at again: looks before the end are short.
	first := 0
	named = func() error {
		for i := range folders {
			n := (first + i) % len(folders)
			d, err := os.Open(filepath.Join(dir, folders[n]))
			if err != nil {
				first = n
				return err
			}
			have, err := d.Readdirnames(-1)
			d.Close()
			slices.Sort(have)
			if err != nil || !slices.Equal(have, names(n)) {
				first = n
				return errors.Join(err, fmt.Errorf("%s holds %d names", folders[n], len(have)))
			}
		}
		return nil
	}
	start := 0
	whole = func() error {
		for i := range files {
			n := (start + i) % files
			name := fileName(n)
			have, err := os.ReadFile(filepath.Join(dir, folders[n/PerFolder], name))
			if err != nil || !bytes.Equal(have, Content(name, size)) {
				start = n
				return errors.Join(err, fmt.Errorf("%s has other bytes", name))
			}
		}
		return nil
	}
	return named, whole
}

// Gone looks whether there is nothing of that name.
func Gone(path string) Look {
	return func() error {
		_, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("%s is still there", path))
	}
}

// WholeLarge looks for the file of [Large]; at is the byte that was changed by [Flip], -1 if none.
func WholeLarge(path string, size, at int64) (named, whole Look) {
	pattern := largePattern()
	expected := func(n int64) []byte {
		b := block(pattern, n)[:min(blockSize, size-n*blockSize)]
		if at >= 0 && at/blockSize == n {
			b[at%blockSize] = Flipped(b[at%blockSize])
		}
		return b
	}
	look := func(blocks ...int64) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.Size() != size {
			return errors.Join(err, errors.New("has another size"))
		}
		buffer := make([]byte, blockSize)
		for _, n := range blocks {
			want := expected(n)
			if _, err := f.ReadAt(buffer[:len(want)], n*blockSize); err != nil || !bytes.Equal(buffer[:len(want)], want) {
				return errors.Join(err, fmt.Errorf("part %d has other bytes", n))
			}
		}
		return nil
	}
	telling, last := max(at, 0)/blockSize, (size-1)/blockSize
	if at < 0 {
		telling = last
	}
	all := make([]int64, last+1)
	for n := range all {
		all[n] = int64(n)
	}
	return func() error { return look(telling) }, func() error { return look(all...) }
}
