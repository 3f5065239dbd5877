package tree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// Trash keeps what was deleted from a directory: under the path it had, below a folder of the hour (UTC) in which it came. That is outside of
// the directory if one rename leads there, so that nobody sees it, and otherwise in change.Trash at its root.
type Trash struct {
	outside *Root // nil: not in use
	inside  *Root
}

const (
	trashHour   = "2006-01-02T15"
	maxTrashing = 20 // folders of one hour; further ones, for what was deleted twice, end in ~1, ~2 ...
)

// NewTrash is the trash of a root, in a directory outside of it if that is there. Close does not close the root.
func NewTrash(of *Root, outside string) *Trash {
	t := &Trash{inside: of}
	if outside != "" {
		if root, err := Open(outside); err == nil {
			t.outside, root.Before = root, of.Before
		}
	}
	return t
}

func (t *Trash) Close() {
	if t.outside != nil {
		t.outside.Close()
	}
}

// Take moves whatever has a name into the trash. It is no error if there is nothing. What finds no place there is removed.
func (t *Trash) Take(from *Dir, name string, now time.Time) error {
	if t.outside != nil {
		err := take(t.outside, ".", from, name, now)
		if !errors.Is(err, unix.EXDEV) {
			return err
		}
		t.outside.Close()
		t.outside = nil
	}
	return take(t.inside, change.Trash, from, name, now)
}

func take(trash *Root, below string, from *Dir, name string, now time.Time) error {
	hour := now.UTC().Format(trashHour)
	for n := range maxTrashing {
		folder := hour
		if n > 0 {
			folder = fmt.Sprintf("%s~%d", hour, n)
		}
		in := change.Join(below, folder)
		if from.path != "." {
			in = change.Join(in, from.path)
		}
		to, err := trash.makeDirectories(in)
		if err == nil {
			err = from.root.do("trash", func() error { return unix.Renameat2(from.fd, name, to.fd, name, unix.RENAME_NOREPLACE) })
			to.Close()
		}
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTDIR): // something of that name came here before
			continue
		case Full(err), errors.Is(err, unix.ENAMETOOLONG): // its path is longer in the trash
			return from.RemoveTree(name)
		}
		return from.fail("trash", name, err)
	}
	return from.RemoveTree(name)
}

// makeDirectories opens a directory, and makes those on the way that are not there.
func (r *Root) makeDirectories(path string) (*Dir, error) {
	d, err := r.Dir(path)
	if !errors.Is(err, unix.ENOENT) {
		return d, err
	}
	dir, name := change.Split(path)
	above, err := r.makeDirectories(dir)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	if err := above.MakeDirectory(name); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	return r.Dir(path)
}

// Empty removes everything whose hour ended before a time.
func (t *Trash) Empty(before time.Time) error {
	for {
		if emptied, err := t.oldest(before); err != nil || emptied == "" {
			return err
		}
	}
}

// EmptyOldest removes the oldest folder, and returns its name; empty: there was none.
func (t *Trash) EmptyOldest() (string, error) { return t.oldest(time.Time{}) }

func (t *Trash) oldest(before time.Time) (string, error) {
	if t.outside != nil {
		if emptied, err := emptyOldest(t.outside, ".", before); err != nil || emptied != "" {
			return emptied, err
		}
	}
	return emptyOldest(t.inside, change.Trash, before)
}

func emptyOldest(trash *Root, below string, before time.Time) (string, error) {
	d, err := trash.Dir(below)
	if Absent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer d.Close()
	names, err := d.List()
	if err != nil || len(names) == 0 {
		return "", err
	}
	oldest := slices.Min(names)
	hour, _, _ := strings.Cut(oldest, "~")
	began, err := time.Parse(trashHour, hour)
	if err != nil {
		return "", d.fail("empty the trash", oldest, errors.New("that is not the toolkit's"))
	}
	if !before.IsZero() && began.Add(time.Hour).After(before) {
		return "", nil
	}
	return oldest, d.RemoveTree(oldest)
}
