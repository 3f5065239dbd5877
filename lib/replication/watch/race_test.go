package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// tripped is a kernel that lets something happen in the middle of a race: before or after a directory is watched for the first time.
type tripped struct {
	Kernel
	mu            sync.Mutex
	seen          map[int32]bool
	before, after map[string]func() // by the base name of the directory; each happens once
}

func (k *tripped) Watch(fd int, top bool) (int32, error) {
	target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	k.happen(k.before, filepath.Base(target))
	wd, err := k.Kernel.Watch(fd, top)
	if !k.seen[wd] {
		k.seen[wd] = true
		k.happen(k.after, filepath.Base(target))
	}
	return wd, err
}

func (k *tripped) happen(when map[string]func(), name string) {
	k.mu.Lock()
	do := when[name]
	delete(when, name)
	k.mu.Unlock()
	if do != nil {
		do()
	}
}

// A race is what a shell does, and what happens just before or just after its directory "n" is watched. Afterwards a file made at each of the
// paths must be seen under that path.
func TestRaces(t *testing.T) {
	for name, r := range map[string]struct {
		do, before, after string
		reach             []string // directories
		look              []string // what must have been reported before
	}{
		"children made before the watch":            {do: "mkdir -p n/a/b; touch n/a/b/f", reach: []string{"n/a/b"}, look: []string{"n/a/b/f"}},
		"children made between opening and watch":   {do: "mkdir n", before: "mkdir -p n/a/b; touch n/a/b/f", reach: []string{"n/a/b"}, look: []string{"n/a/b/f"}},
		"children made between watch and listing":   {do: "mkdir n", after: "mkdir -p n/a/b; touch n/f", reach: []string{"n/a/b"}, look: []string{"n/f"}},
		"renamed between opening and watch":         {do: "mkdir -p ../p/n/a; mv ../p/n .", before: "mv n m", reach: []string{"m", "m/a"}, look: []string{"m"}},
		"renamed between watch and listing":         {do: "mkdir -p ../p/n/a; mv ../p/n .", after: "mv n m", reach: []string{"m", "m/a"}, look: []string{"n", "m"}},
		"renamed, and another one in its place":     {do: "mkdir -p ../p/n/a; mv ../p/n .", after: "mv n m; mkdir -p n/b", reach: []string{"m/a", "n/b"}},
		"another one in its place before the watch": {do: "mkdir -p ../p/n/a; mv ../p/n .", before: "mv n m; mkdir -p n/b", reach: []string{"m/a", "n/b"}},
		"renamed into a directory nobody watches":   {do: "mkdir -p ../p/n/a; mv ../p/n .", after: "mkdir -p x/y; mv n x/y/n", reach: []string{"x/y/n/a"}},
		"the directory above is renamed":            {do: "mkdir -p ../p/n/a; mv ../p/n d", before: "mv d z; mkdir z/n/late", reach: []string{"z/n/a", "z/n/late", "z/e"}},
		"the directory above gives way to a double": {do: "mkdir -p ../p/n/a; mv ../p/n d", after: "mv d z; mkdir -p d/n/double", reach: []string{"z/n/a", "z/e", "d/n/double"}},
		"deleted, and made again":                   {do: "mkdir -p ../p/n/a; mv ../p/n .", after: "rm -r n; mkdir -p n/b", reach: []string{"n/b"}, look: []string{"n/a"}},
		"a file where the directory was":            {do: "mkdir n", after: "rmdir n; touch n; mkdir o", reach: []string{"o"}, look: []string{"n"}},
		"out of the share and in again":             {do: "mkdir -p ../p/n/a; mv ../p/n .", after: "mv n ../out; mkdir ../out/a/b; mv ../out m", reach: []string{"m/a/b"}, look: []string{"n", "m/a"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			k := &tripped{seen: map[int32]bool{}, before: map[string]func(){}, after: map[string]func(){}}
			w := newWatched(t, func(w *watched) {
				w.watcher.Open = func() (kernel Kernel, err error) {
					k.Kernel, err = Inotify()
					return k, err
				}
			})
			w.barrier()
			k.mu.Lock()
			if r.before != "" {
				k.before["n"] = func() { w.sh(r.before) }
			}
			if r.after != "" {
				k.after["n"] = func() { w.sh(r.after) }
			}
			k.mu.Unlock()
			w.sh(r.do)
			reported := append(w.barrier(), w.barrier()...)
			k.mu.Lock()
			if len(k.before)+len(k.after) > 0 {
				t.Error("it did not come to the race")
			}
			k.mu.Unlock()
			for _, path := range r.look {
				if !told(reported, path) {
					t.Errorf("not told of %s: %v", path, reported)
				}
			}
			w.reach(r.reach...)
		})
	}
}

// What is read only when all is over tells of names that lead elsewhere by then.
func TestEventsThatAreOld(t *testing.T) {
	for do, reach := range map[string][]string{
		"mkdir -p d/n/a; mv d z":                                    {"z/n/a", "z/e"},
		"mkdir -p d/n/a; mv d z; mkdir -p d/n/double":               {"z/n/a", "z/e", "d/n/double"},
		"mkdir -p d/e/n; mv d/e .; mv d e":                          {"e/n", "e/d"},
		"mkdir -p d/n; mv d ../out; mkdir -p d/n/a; mv ../out d/in": {"d/n/a", "d/in/n", "d/in/e"},
		"mkdir -p d/n/a; mv d x; mv x y; mv y d":                    {"d/n/a", "d/e"},
		"mkdir -p d/n; rm -r d; mkdir -p d/n/a":                     {"d/n/a"},
		"mkdir -p d/n/a; mv d/n n; mv d n/a; mv n/a/d x; mv n x/e":  {"x/e/n/a", "x/e"},
	} {
		t.Run(strings.ReplaceAll(do, "/", "|"), func(t *testing.T) {
			t.Parallel()
			var k stalled
			w := newWatched(t, func(w *watched) {
				w.watcher.Open = func() (kernel Kernel, err error) {
					k.inotify, err = openInotify(waitingBytes)
					return &k, err
				}
			})
			w.barrier()
			k.hold.Lock()
			w.sh(do)
			k.hold.Unlock()
			w.barrier()
			w.reach(reach...)
		})
	}
}

// Whoever looked in between took the directory for gone: it is told anew, with all that is in it.
func TestAwayAndBackBeforeAnybodyLooks(t *testing.T) {
	var k stalled
	w := newWatched(t, func(w *watched) {
		w.watcher.Open = func() (kernel Kernel, err error) {
			k.inotify, err = openInotify(waitingBytes)
			return &k, err
		}
	})
	w.barrier()
	k.hold.Lock()
	w.sh("mv d x; mv x d")
	k.hold.Unlock()
	if reported := w.barrier(); !slices.Contains(reported, change.Change{Kind: change.Rescan, Path: "d"}) {
		t.Errorf("told %v", reported)
	}
}

// What was made in a directory just before that was away for a moment is watched when it is back, although nobody could look while it was made known.
func TestMadeBeforeAwayAndBack(t *testing.T) {
	share := t.TempDir()
	path := func(name string) string { return filepath.Join(share, name) }
	must(t, os.MkdirAll(path("a/b"), 0o755))
	root, err := tree.Open(share)
	must(t, err)
	defer root.Close()
	k, err := openInotify(waitingBytes)
	must(t, err)
	defer k.Close()
	w := &Watcher{Share: share, Root: root, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	dirs := newDirectories(root, k, w.add, w.turn)
	must(t, dirs.build())
	events := func(until string) (all []event) {
		eventually(t, func() error {
			batch, err := k.Take()
			for raw := batch.Raw; err == nil && len(raw) > 0; {
				var e event
				if e, raw, err = cut(raw); err == nil {
					all = append(all, e)
				}
			}
			if err == nil && (len(all) == 0 || all[len(all)-1].name != until) {
				return fmt.Errorf("%v", all)
			}
			return err
		})
		return all
	}
	must(t, os.Mkdir(path("a/b/new"), 0o755))
	must(t, os.Rename(path("a"), path("away")))
	before := events("away")
	must(t, w.handle(dirs, before[0])) // while it is away
	must(t, os.Rename(path("away"), path("a")))
	for _, e := range append(before[1:], events("a")...) {
		must(t, w.handle(dirs, e))
	}
	must(t, os.WriteFile(path("a/b/new/file"), nil, 0o600))
	events("file")
}

// reach says that what is made in directories is seen, under its path.
func (w *watched) reach(directories ...string) {
	w.t.Helper()
	for _, dir := range directories {
		must(w.t, os.WriteFile(filepath.Join(w.share, dir, "reach"), nil, 0o600))
	}
	reported := w.barrier()
	for _, dir := range directories {
		if !slices.Contains(reported, change.Change{Kind: change.Look, Path: dir + "/reach"}) {
			w.t.Errorf("not told of %s/reach: %v", dir, reported)
		}
	}
}

// A directory that moves out of the share while it is being opened is not there; the kernel has a word of its own for that.
func TestMovedOutWhileOpened(t *testing.T) {
	top := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(top, "share/a/b"), 0o755))
	share, err := os.Open(filepath.Join(top, "share"))
	must(t, err)
	defer share.Close()
	done := make(chan struct{})
	defer func() { <-done }()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = os.Rename(filepath.Join(top, "share/a"), filepath.Join(top, "out"))
			_ = os.Rename(filepath.Join(top, "out"), filepath.Join(top, "share/a"))
		}
	}()
	for ctx.Err() == nil {
		fd, err := openDirectory(int(share.Fd()), "a/b")
		if err != nil {
			t.Fatal(err)
		}
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// What moves out of the share loses its watches, with all that is below it.
func TestMovedOutLosesItsWatches(t *testing.T) {
	var k Kernel
	w := newWatched(t, func(w *watched) {
		w.watcher.Open = func() (kernel Kernel, err error) {
			k, err = Inotify()
			return k, err
		}
	})
	w.barrier()
	if n := watchesOf(t, k); n != 3 {
		t.Errorf("%d watches on 3 directories", n)
	}
	w.sh("mv d ../away")
	w.barrier()
	eventually(t, func() error {
		if n := watchesOf(t, k); n != 1 {
			return fmt.Errorf("%d watches on one directory", n)
		}
		return nil
	})
	w.sh("touch ../away/e/f; mkdir ../away/e/g")
	if reported := w.barrier(); len(reported) > 1 { // the last barrier's mark went
		t.Errorf("told of what is elsewhere: %v", reported)
	}
	w.sh("mv ../away back")
	w.barrier()
	w.reach("back/e/g")
}

// watchesOf counts the watches that the kernel has.
func watchesOf(t *testing.T, k Kernel) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", k.(*inotify).fd))
	must(t, err)
	return strings.Count(string(text), "inotify wd:")
}

// scripted is a kernel that watches nothing, gives the numbers of watches it is told to, and says what it is told to.
type scripted struct {
	next []int32
	wake chan struct{}
}

func (k *scripted) Watch(int, bool) (wd int32, err error) {
	wd, k.next = k.next[0], k.next[1:]
	return wd, nil
}
func (k *scripted) Unwatch(int32) bool       { return true }
func (k *scripted) Waiting() <-chan struct{} { return k.wake }
func (k *scripted) Take() (Batch, error)     { return Batch{}, nil }
func (k *scripted) Close()                   {}

// A watch that was taken away may still have events on their way when its number is given to another directory (inotify(7), BUGS).
func TestNumberGivenOutAgain(t *testing.T) {
	share := t.TempDir()
	must(t, errors.Join(os.Mkdir(filepath.Join(share, "a"), 0o755), os.Mkdir(filepath.Join(share, "b"), 0o755)))
	root, err := tree.Open(share)
	must(t, err)
	defer root.Close()
	w := &Watcher{Share: share, Root: root, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	k := &scripted{next: []int32{1, 2, 3}}
	dirs := newDirectories(root, k, w.add, w.turn)
	must(t, dirs.build())
	must(t, os.Rename(filepath.Join(share, "a"), filepath.Join(t.TempDir(), "away")))
	k.next = []int32{1} // the share is found where it was
	must(t, w.handle(dirs, event{1, unix.IN_MOVED_FROM | unix.IN_ISDIR, "a"}))
	dirs.sweep(dirs.unwatch)
	dirs.sweep(dirs.unwatch)
	must(t, os.Mkdir(filepath.Join(share, "c"), 0o755))
	k.next = []int32{1, 2}
	must(t, w.handle(dirs, event{1, unix.IN_CREATE | unix.IN_ISDIR, "c"}))
	w.pending.Take(0)
	must(t, w.handle(dirs, event{2, unix.IN_MODIFY, "of a"}))
	must(t, w.handle(dirs, event{2, unix.IN_IGNORED, ""}))
	must(t, w.handle(dirs, event{2, unix.IN_MODIFY, "of c"}))
	if changes, _ := w.pending.Take(0); !slices.Equal(changes, []change.Change{{Kind: change.Look, Path: "c/of c"}}) {
		t.Errorf("got %v", changes)
	}
}

// A kernel queue that is closed leaves no reader behind, whether it waits for events or for room.
func TestCloseEndsTheReader(t *testing.T) {
	for _, limit := range []int{waitingBytes, 0} {
		k, err := openInotify(limit)
		must(t, err)
		closed := make(chan struct{})
		go func() {
			k.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("it goes on")
		}
	}
}

// A directory that is watched again while something happens in it tells of all that happens.
func TestWatchedAgainMeanwhile(t *testing.T) {
	k, err := openInotify(waitingBytes)
	must(t, err)
	defer k.Close()
	share := t.TempDir()
	dir, err := os.Open(share)
	must(t, err)
	defer dir.Close()
	_, err = k.Watch(int(dir.Fd()), true)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		for ctx.Err() == nil {
			if _, err := k.Watch(int(dir.Fd()), true); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	const made = 10_000
	name, told := filepath.Join(share, "d"), 0
	count := func() error {
		batch, err := k.Take()
		must(t, err)
		for raw := batch.Raw; len(raw) > 0; {
			var e event
			e, raw, err = cut(raw)
			must(t, err)
			if e.overflow() {
				t.Fatal("the queue overflowed: this test proves nothing")
			}
			if e.has(unix.IN_CREATE) {
				told++
			}
		}
		if told < made {
			return fmt.Errorf("told of %d, made %d", told, made)
		}
		return nil
	}
	for range made {
		must(t, os.Mkdir(name, 0o755))
		must(t, os.Remove(name))
		_ = count()
	}
	stop()
	must(t, <-ended)
	eventually(t, count)
}
