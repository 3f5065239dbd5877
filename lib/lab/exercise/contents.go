package exercise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const megabyte = 1 << 20

func create(dir string) error {
	return all(
		put(dir, "empty", ""), put(dir, "small", "small\n"), put(dir, "large", strings.Repeat("0123456789abcdef", 3*megabyte/16)),
		os.MkdirAll(filepath.Join(dir, "folder"), 0o750), put(dir, "folder/inside", "inside\n"),
	)
}

func overwrite(dir string) error {
	return steps(dir,
		func(dir string) error { return all(put(dir, "same", "aaaa\n"), put(dir, "other", "short\n")) },
		func(dir string) error {
			return all(put(dir, "same", "bbbb\n"), put(dir, "other", "longer than before\n"))
		},
		// Within the same second and of the same size: times and sizes alone do not show it.
		func(dir string) error { return put(dir, "same", "cccc\n") },
	)
}

func appendTo(dir string) error {
	add := func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString("one more line\n")
		return all(err, f.Close())
	}
	return steps(dir, add, add, add)
}

func truncate(dir string) error {
	return steps(dir,
		func(dir string) error { return all(put(dir, "half", "0123456789"), put(dir, "nothing", "0123456789")) },
		func(dir string) error {
			return all(os.Truncate(filepath.Join(dir, "half"), 5), os.Truncate(filepath.Join(dir, "nothing"), 0))
		},
	)
}

// growing writes to a file for longer than a copy of it takes, and ends with bytes that a copy made before would lack.
func growing(dir string) error {
	f, err := os.Create(filepath.Join(dir, "growing"))
	if err != nil {
		return err
	}
	block := []byte(strings.Repeat("block ", 16<<10))
	for range 40 {
		if _, err := f.Write(block); err != nil {
			return all(err, f.Close())
		}
		time.Sleep(notice / 10)
	}
	_, err = f.WriteAt([]byte("the beginning is written last"), 0)
	return all(err, f.Close())
}

func temporary(dir string) error {
	for n := range 200 {
		name := filepath.Join(dir, fmt.Sprint("passing", n))
		if err := put(dir, filepath.Base(name), "gone soon\n"); err != nil {
			return err
		}
		if n%2 == 0 {
			if err := os.Rename(name, filepath.Join(dir, "kept")); err != nil {
				return err
			}
		} else if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

const manyFiles = 10000

func many(dir string) error {
	for n := range manyFiles {
		folder := fmt.Sprintf("%02d", n%100)
		if n < 100 {
			if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
				return err
			}
		}
		if err := put(dir, fmt.Sprintf("%s/%05d", folder, n), fmt.Sprintf("file %d\n", n)); err != nil {
			return err
		}
	}
	return nil
}

// overflow makes more events than the 16,384 the kernel keeps by default: each file takes four.
func overflow(dir string) error {
	for n := range manyFiles {
		if err := put(dir, fmt.Sprintf("%05d", n%2000), fmt.Sprintf("round %d\n", n/2000)); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "made", "when", "nobody", "looked"), 0o755)
}
