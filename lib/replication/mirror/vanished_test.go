package mirror

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// One of two names is taken away after it was looked at, as a mailbox does that delivers by link and unlink. The deletion tells of that name
// only: the other must not be forgotten.
func TestFirstNameVanishes(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	var roots []*tree.Root
	for _, dir := range dirs {
		root, err := tree.Open(dir)
		must(t, err)
		defer root.Close()
		roots = append(roots, root)
	}
	tmp, kept := filepath.Join(dirs[0], "a"), filepath.Join(dirs[0], "b")
	must(t, os.WriteFile(tmp, []byte("mail"), 0o644))
	must(t, os.Link(tmp, kept))
	source, err := roots[0].Lstat("a")
	must(t, err)
	must(t, os.Remove(tmp))
	steps := []Step{{Op: Write, Path: "a", Source: source}, {Op: Link, Path: "b", From: "a", Source: source}}

	t.Run("directory", func(t *testing.T) {
		a := &applying{
			share: roots[0], replica: roots[1], journal: newJournal(), limit: newLimiter(1),
			noLinks: func(error) {}, progress: func() {},
		}
		if err := a.carry(t.Context(), steps); !errors.Is(err, ErrVanished) {
			t.Error("the replica is taken for complete, or for broken: ", err)
		}
	})
	t.Run("stream", func(t *testing.T) {
		s := sending{share: roots[0], journal: newJournal(), batch: &stream.Batch{}, progress: func() {}, unsent: map[string]bool{}}
		for i := range steps {
			must(t, s.one(&steps[i]))
		}
		if len(s.unread) > 0 || !slices.Equal(s.waiting, []string{"b"}) {
			t.Errorf("the other name is forgotten: %v waits, %v", s.waiting, s.unread)
		}
	})
}

// A directory is made, with a file in it, between the look at its own path and the one at the file's: the steps have the file alone. The share is busy, and
// nothing has failed.
func TestDirectoryAppearsBetweenTwoLooks(t *testing.T) {
	share, err := tree.Open(t.TempDir())
	must(t, err)
	defer share.Close()
	replica, err := tree.Open(t.TempDir())
	must(t, err)
	defer replica.Close()
	must(t, os.Mkdir(filepath.Join(share.Name, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(share.Name, "d/f"), []byte("x"), 0o644))
	source, err := share.Lstat("d/f")
	must(t, err)
	a := &applying{share: share, replica: replica, journal: newJournal(), limit: newLimiter(1), noLinks: func(error) {}, progress: func() {}}
	if err := a.carry(t.Context(), []Step{{Op: Write, Path: "d/f", Source: source}}); !errors.Is(err, ErrVanished) {
		t.Error(err)
	}
}
