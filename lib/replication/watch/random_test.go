package watch

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// A copy that is brought up to date only where something was reported is the same as the share after every barrier, whatever was done,
// and although events were lost. The copy is the slow and obvious twin of a replica: a map of all paths.
func TestRandomChanges(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("lossy=%v/%d", lossy, seed), func(t *testing.T) {
				t.Parallel()
				k := &forgetful{rnd: rand.New(rand.NewPCG(seed, 11))}
				if lossy {
					k.every = 20
				}
				w := newWatched(t, func(w *watched) {
					w.watcher.Open = func() (kernel Kernel, err error) {
						k.Kernel, err = Inotify()
						k.sure = now()
						return k, err
					}
				})
				d := doer{rnd: rand.New(rand.NewPCG(seed, 13)), share: w.share, out: t.TempDir()}
				shadow := shadow{}
				shadow.apply(t, w.watcher.Root, w.barrier())
				for round := range 25 {
					var done []string
					for range 1 + d.rnd.IntN(40) {
						done = append(done, d.something())
					}
					reported := w.barrier()
					shadow.apply(t, w.watcher.Root, reported)
					if now := walkAll(t, w.watcher.Root, "."); !maps.Equal(shadow, now) {
						t.Fatalf("round %d: only in the copy: %v\nonly in the share: %v\ndone: %s\nreported: %v",
							round, shadow.without(now), now.without(shadow), strings.Join(done, "; "), reported)
					}
					k.trust()
					if n, m := watchesOf(t, k.Kernel), directoriesIn(shadow); n < m {
						t.Fatalf("round %d: %d watches on %d directories\ndone: %s\nreported: %v", round, n, m, strings.Join(done, "; "), reported)
					}
				}
				if lossy && w.watcher.Counts().Overflows == 0 {
					t.Error("nothing was lost: this test proves nothing")
				}
			})
		}
	}
}

// forgetful loses one event of so many, and some after it, and says so.
type forgetful struct {
	Kernel
	every int
	rnd   *rand.Rand

	mu   sync.Mutex
	sure Moment
}

// trust: everything that happened until now has been reported.
func (k *forgetful) trust() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sure = now()
}

func (k *forgetful) Take() (Batch, error) {
	b, err := k.Kernel.Take()
	if k.every == 0 || len(b.Raw) == 0 {
		return b, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	left := Batch{}
	for raw := b.Raw; len(raw) > 0; {
		_, rest, err := cut(raw)
		if err != nil {
			return Batch{}, err
		}
		one := raw[:len(raw)-len(rest)]
		raw = rest
		if k.rnd.IntN(k.every) > 0 {
			left.Raw = append(left.Raw, one...)
			continue
		}
		for range k.rnd.IntN(20) {
			if len(raw) > 0 {
				_, raw, _ = cut(raw)
			}
		}
		left.Raw = append(left.Raw, packed(event{-1, unix.IN_Q_OVERFLOW, ""})...)
		left.Sure = append(left.Sure, k.sure)
	}
	return left, nil
}

// shadow is what a replica has: what is at each path.
type shadow map[string]string

func (s shadow) apply(t *testing.T, root *tree.Root, changes []change.Change) {
	for _, c := range changes {
		switch c.Kind {
		case change.Look:
			dir, _ := change.Split(c.Path)
			for ; dir != "."; dir, _ = change.Split(dir) { // as package mirror does
				s.look(t, root, dir)
			}
			s.look(t, root, c.Path)
		case change.Rescan:
			s.remove(c.Path)
			maps.Copy(s, walkAll(t, root, c.Path))
		}
	}
}

func (s shadow) look(t *testing.T, root *tree.Root, path string) {
	what := describe(t, root, path)
	if what == s[path] {
		return
	}
	if what == "" || !strings.HasPrefix(what, string(change.Directory)) || !strings.HasPrefix(s[path], string(change.Directory)) {
		s.remove(path)
	}
	if what != "" {
		s[path] = what
	}
}

// without is what differs from another one, or is not in it.
func (s shadow) without(other shadow) shadow {
	rest := maps.Clone(s)
	maps.DeleteFunc(rest, func(path, what string) bool { return other[path] == what })
	return rest
}

func (s shadow) remove(path string) {
	for p := range s {
		if change.Within(p, path) {
			delete(s, p)
		}
	}
}

// describe is what a replica has to be given of one path; empty: nothing is there. As package mirror does, it goes through no symbolic link.
func describe(t *testing.T, root *tree.Root, path string) string {
	e, err := root.Lstat(path)
	must(t, err)
	if e == nil {
		return ""
	}
	content := e.Target
	if e.Kind == change.File {
		f, err := root.OpenFile(path)
		must(t, err)
		defer f.Close()
		text, err := io.ReadAll(f)
		must(t, err)
		content = string(text)
	}
	return fmt.Sprintf("%s %o %s", e.Kind, e.Mode, content)
}

func walkAll(t *testing.T, root *tree.Root, dir string) shadow {
	all := shadow{}
	if describe(t, root, dir) == "" { // WalkDir would go through symbolic links on the way there
		return all
	}
	err := filepath.WalkDir(filepath.Join(root.Name, dir), func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root.Name, path)
		if what := describe(t, root, rel); what != "" && !change.Temporary(rel) {
			all[rel] = what
		}
		if tree.Absent(err) {
			return nil
		}
		return err
	})
	must(t, err)
	return all
}

func directoriesIn(s shadow) (n int) {
	for _, what := range s {
		if strings.HasPrefix(what, string(change.Directory)) {
			n++
		}
	}
	return n
}

// doer does something to a share, mostly to what is there.
type doer struct {
	rnd        *rand.Rand
	share, out string
	count      int
}

func (d *doer) something() string {
	d.count++
	a, b := d.path(), d.path()
	in := func(p string) string { return filepath.Join(d.share, p) }
	away := filepath.Join(d.out, fmt.Sprint(d.rnd.IntN(2)))
	switch d.rnd.IntN(12) {
	case 0, 1:
		deep := a + "/" + d.name() + "/" + d.name()
		_ = os.MkdirAll(in(deep), 0o755)
		_ = os.WriteFile(in(deep+"/f"), []byte(fmt.Sprint(d.count)), 0o644)
		return "mkdir -p " + deep
	case 2, 3:
		_ = os.WriteFile(in(a), []byte(fmt.Sprint(d.count)), 0o644)
		return "write " + a
	case 4, 5, 6:
		_ = os.Rename(in(a), in(b))
		return "mv " + a + " " + b
	case 7:
		_ = os.Rename(in(a), away)
		return "mv " + a + " ../" + filepath.Base(away)
	case 8:
		_ = os.Rename(away, in(a))
		return "mv ../" + filepath.Base(away) + " " + a
	case 9:
		_ = os.RemoveAll(in(a))
		return "rm -r " + a
	case 10:
		_ = os.Chmod(in(a), fs.FileMode(0o700+d.rnd.IntN(8)))
		return "chmod " + a
	default:
		_ = os.Symlink(b, in(a))
		return "ln -s " + b + " " + a
	}
}

func (d *doer) name() string { return string(rune('a' + d.rnd.IntN(4))) }

func (d *doer) path() string {
	var parts []string
	for range 1 + d.rnd.IntN(4) {
		parts = append(parts, d.name())
	}
	return strings.Join(slices.Clip(parts), "/")
}
