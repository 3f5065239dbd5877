package role

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"hafs/lib/host/system"
	"hafs/lib/replication/change"
)

// aside is the newest folder of what only this server had when it came back, until somebody has looked and removed it; empty when there is none. A folder
// that is still being filled, in a generation in which this server comes back, does not count.
func (k *Keeper) aside(filling uint64) string {
	entries, err := os.ReadDir(k.Settings.State("divergent"))
	if err != nil {
		return ""
	}
	var newest uint64
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && e.IsDir() && n != filling {
			newest = max(newest, n)
		}
	}
	if newest == 0 {
		return ""
	}
	return k.asideIn(newest)
}

func (k *Keeper) asideIn(generation uint64) string {
	return filepath.Join(k.Settings.State("divergent"), strconv.FormatUint(generation, 10))
}

// gather adds what one attempt kept aside to what those before it did. What is there already stays: it is this server's own, while the later one came from
// the share.
func gather(m system.Machine, attempt, aside string) error {
	if _, err := os.Lstat(attempt); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
		return m.Rename("keep aside", attempt, aside)
	}
	err := filepath.WalkDir(attempt, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		below, err := filepath.Rel(attempt, path)
		if err != nil {
			return err
		}
		to := filepath.Join(aside, below)
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) { // also where a file has the place of a folder
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return m.Rename("keep aside", path, to)
	})
	if err != nil {
		return err
	}
	return m.RemoveAll("forget the attempt", attempt)
}

// sift drops from a folder of what was kept aside all that the copy has by now, at the same path, and lists the rest: a line for each path, with what the
// copy has there.
//
//	only PATH   nothing
//	older PATH  something else that was changed later
//	other PATH  something else
func sift(m system.Machine, folder, directory string) ([]byte, error) {
	in, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	copied, err := os.OpenRoot(directory) // no link in the copy leads out of it
	if err != nil {
		return nil, err
	}
	defer copied.Close()
	var list bytes.Buffer
	var folders []string
	err = fs.WalkDir(in.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			folders = append(folders, path)
			return nil
		}
		what, err := compare(in, copied, path)
		if err != nil {
			return err
		}
		if what == "" {
			return m.RemoveAll("drop what the share has", filepath.Join(folder, path))
		}
		fmt.Fprintf(&list, "%s %s\n", what, change.Escape(path))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(folders) // what is in a folder before the folder
	for _, path := range folders {
		if left, err := os.ReadDir(filepath.Join(folder, path)); err != nil {
			return nil, err
		} else if len(left) > 0 {
			continue
		}
		if err := m.RemoveAll("drop an empty folder", filepath.Join(folder, path)); err != nil {
			return nil, err
		}
	}
	return list.Bytes(), nil
}

// compare says what the copy has at a path that was kept aside; empty: the same.
func compare(in, copied *os.Root, path string) (string, error) {
	kept, err := in.Lstat(path)
	if err != nil {
		return "", err
	}
	has, err := copied.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err != nil && outside(err):
		return "only", nil
	case err != nil:
		return "", err
	}
	same, err := equal(in, copied, path, kept, has)
	switch {
	case err != nil:
		return "", err
	case same:
		return "", nil
	case has.ModTime().After(kept.ModTime()):
		return "older", nil
	}
	return "other", nil
}

// outside says whether a path leads out of the copy by a link in it: what was kept aside was in a directory that is a link now.
func outside(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p) && p.Err.Error() == "path escapes from parent"
}

// equal compares content, and who may do what with it. Nothing but files and links is opened.
func equal(in, copied *os.Root, path string, kept, has fs.FileInfo) (bool, error) {
	a, b := kept.Sys().(*syscall.Stat_t), has.Sys().(*syscall.Stat_t)
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return false, nil
	}
	switch kept.Mode().Type() {
	case 0:
		return kept.Size() == has.Size() && sameBytes(in, copied, path), nil
	case fs.ModeSymlink:
		to, err := in.Readlink(path)
		if err != nil {
			return false, err
		}
		now, err := copied.Readlink(path)
		return to == now, err
	}
	return true, nil
}

// sameBytes compares two files; what cannot be read is not the same.
func sameBytes(in, copied *os.Root, path string) bool {
	a, err := in.Open(path)
	if err != nil {
		return false
	}
	defer a.Close()
	b, err := copied.Open(path)
	if err != nil {
		return false
	}
	defer b.Close()
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return ended(errA) && ended(errB)
		}
	}
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
