package mirror

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// Between the look at a file of two names and its reading, one of the names is taken away, as a mailbox does that delivers by link and unlink, or gets
// another file, as a backup does that shares files with the one before. An event tells of that name only: the other is neither forgotten nor given what is
// not its own.
func TestFirstNameVanishes(t *testing.T) {
	for situation, happens := range map[string]func(name string) error{
		"removed": os.Remove,
		"replaced": func(name string) error {
			return errors.Join(os.WriteFile(name+".new", []byte("another"), 0o644), os.Rename(name+".new", name))
		},
	} {
		t.Run(situation, func(t *testing.T) { firstNameVanishes(t, happens) })
	}
}

func firstNameVanishes(t *testing.T, happens func(name string) error) {
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
	must(t, happens(tmp))
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

// A file that a replica has is replaced between the look at it and its reading: the replica has what was there before both, so the path is looked at again before
// anything counts.
func TestAFileThatIsReplacedIsLookedAtAgain(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	w.sh("echo first > f; ln f g; echo x > gone")
	must(t, s.Apply(t.Context(), everything))
	w.sh("echo second > f; echo y > gone")
	var steps []Step
	for _, path := range []string{"f", "gone"} {
		e, err := w.root.Lstat(path)
		must(t, err)
		steps = append(steps, Step{Op: Write, Path: path, Source: e, Replica: e})
	}
	w.sh("echo third > h; mv h f; rm gone")
	_, err := s.send(steps, nil, &change.Position{Complete: true})
	if again := (vanishedName{}); !errors.As(err, &again) || !slices.Equal(again.others, []string{"f", "gone"}) {
		t.Error(err)
	}
}
