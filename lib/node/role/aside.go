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
	"strings"
	"syscall"

	"hafs/lib/host/system"
	"hafs/lib/replication/change"
)

// Beside a folder of what was kept aside: what an attempt that has not ended keeps aside, and what is in the folder.
const (
	attemptSuffix = ".new"
	listSuffix    = ".list"
)

// aside is the newest folder of what only this server had when it came back, until somebody has looked and removed it; empty when there is none. A folder
// that is still being filled, in a generation in which this server comes back, does not count.
func (k *Keeper) aside(filling uint64) string {
	for _, n := range slices.Backward(k.keptAside("")) {
		if n != filling {
			return k.asideIn(n)
		}
	}
	return ""
}

// keptAside are the generations that have a folder there, or one with this suffix, in their order.
func (k *Keeper) keptAside(suffix string) []uint64 {
	entries, err := os.ReadDir(k.Settings.State("divergent"))
	if err != nil {
		return nil
	}
	var generations []uint64
	for _, e := range entries {
		name, has := strings.CutSuffix(e.Name(), suffix)
		if n, err := strconv.ParseUint(name, 10, 64); err == nil && has && e.IsDir() && n > 0 {
			generations = append(generations, n)
		}
	}
	slices.Sort(generations)
	return generations
}

func (k *Keeper) asideIn(generation uint64) string {
	return filepath.Join(k.Settings.State("divergent"), strconv.FormatUint(generation, 10))
}

// gatherAll gathers all attempts, whichever generation they were made in.
func (k *Keeper) gatherAll() error {
	for _, n := range k.keptAside(attemptSuffix) {
		if err := gather(k.Machine, k.asideIn(n)+attemptSuffix, k.asideIn(n)); err != nil {
			return err
		}
	}
	return nil
}

// gather adds what one attempt kept aside to what those before it did. What is there already stays: it is this server's own, while the later one came from
// the share.
func gather(m system.Machine, attempt, aside string) error {
	if err := m.RemoveAll("forget the list of before", aside+listSuffix); err != nil {
		return err
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
		if !free(aside, below) {
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

// free says whether nothing is at a path below a folder, and no file or link has the place of a folder on the way: what it would lead to is not ours.
func free(folder, path string) bool {
	for _, name := range strings.Split(path, "/") {
		folder = filepath.Join(folder, name)
		e, err := os.Lstat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			return true
		}
		if err != nil || !e.IsDir() {
			return false
		}
	}
	return false
}

// sift drops from a folder of what was kept aside all that the copy has by now, at the same path, and lists the rest: a line for each path, with what the
// copy has there.
//
//	only PATH   nothing, or what cannot be compared
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
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error { // a file system of package fs has no names but in UTF-8
		if e == nil {
			return err
		}
		path, relErr := filepath.Rel(folder, path)
		if relErr != nil {
			return relErr
		}
		if err != nil { // a folder that cannot be read
			fmt.Fprintf(&list, "only %s\n", change.Escape(path))
			return nil
		}
		if e.IsDir() {
			folders = append(folders, path)
			return nil
		}
		what := compare(in, copied, path)
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
		if left, err := os.ReadDir(filepath.Join(folder, path)); err != nil || len(left) > 0 {
			continue
		}
		if err := m.RemoveAll("drop an empty folder", filepath.Join(folder, path)); err != nil {
			return nil, err
		}
	}
	return list.Bytes(), nil
}

// compare says what the copy has at a path that was kept aside; empty: the same. Where the copy cannot be asked, as behind a loop of links, it has nothing:
// whatever programs make of their files must not keep this server from coming back.
func compare(in, copied *os.Root, path string) string {
	kept, err := in.Lstat(path)
	if err != nil {
		return "only"
	}
	has, err := copied.Lstat(path)
	if err != nil {
		return "only"
	}
	same, err := equal(in, copied, path, kept, has)
	switch {
	case err != nil:
		return "only"
	case same:
		return ""
	case has.ModTime().After(kept.ModTime()):
		return "older"
	}
	return "other"
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
