package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// stalled is a kernel whose queue can be made to overflow: while it is held nothing is read from it.
type stalled struct {
	*inotify
	hold sync.Mutex
}

func (k *stalled) Take() (Batch, error) {
	k.hold.Lock()
	defer k.hold.Unlock()
	return k.inotify.Take()
}

// stall lets a watched share use one.
func stall(k *stalled) func(w *watched) {
	return func(w *watched) {
		w.watcher.Open = func() (Kernel, error) {
			i, err := openInotify(1)
			k.inotify = i
			return k, err
		}
	}
}

// overflow makes the kernel lose what do does. late: it is found so late that its date is not a date of this moment any more.
func (w *watched) overflow(k *stalled, late bool, do func()) {
	w.t.Helper()
	before := w.watcher.Counts().Overflows
	k.hold.Lock()
	var noise [2]*os.File // the kernel joins equal events, so there are two files
	for i := range noise {
		f, err := os.OpenFile(filepath.Join(w.share, "noise", fmt.Sprint(i)), os.O_WRONLY, 0)
		must(w.t, err)
		defer f.Close()
		noise[i] = f
	}
	for i := range 2*setting(queueSetting) + 1000 {
		_, err := noise[i%2].WriteAt([]byte("x"), 0)
		must(w.t, err)
		if i == 0 {
			eventually(w.t, func() error {
				k.mu.Lock()
				defer k.mu.Unlock()
				if len(k.waiting.Raw) == 0 {
					return errors.New("the reader did not read")
				}
				return nil
			})
		}
	}
	do()
	if late {
		w.past(0)
	}
	k.hold.Unlock()
	eventually(w.t, func() error {
		if w.watcher.Counts().Overflows == before {
			return errors.New("the queue did not overflow: this test proves nothing")
		}
		return nil
	})
}

// coarse is more than the tick by which the kernel dates files.
const coarse = 50 * time.Millisecond

// past waits until what happened before is older than the margin, by so many nanoseconds.
func (w *watched) past(more int64) {
	w.t.Helper()
	done := now().Wall
	eventually(w.t, func() error {
		if now().since()-more <= done {
			return errors.New("the clock stands still")
		}
		return nil
	})
}

// quiet makes all that was there before older than what is lost from now on, the margin included.
func (w *watched) quiet() {
	w.sh("mkdir -p noise; touch noise/0 noise/1")
	w.barrier()
	w.past(int64(idle + coarse))
}

// What was lost is found by its date: no more than that, and all of it. New directories are watched, and barriers are not lost.
func TestOverflow(t *testing.T) {
	var k stalled
	w := newWatched(t, func(w *watched) {
		stall(&k)(w)
		w.sh("mkdir -p a/b/c a/x/y old/deep plain many leaf moving/in/here carried/deep; touch a/file a/b/file a/b/c/file plain/f plain/g leaf/gone leaf/stays moving/in/here/f; for i in $(seq 200); do echo $i > many/$i; done")
	})
	w.barrier()
	w.quiet()
	w.overflow(&k, true, func() {
		w.sh("echo x >> a/b/c/file; chmod 600 plain/f; rm a/file leaf/gone; mkdir -p new/er/dir; echo x > new/er/dir/f; rm -r old; mv moving/in a/in; mv a/x moving/x; mkdir brand; mv carried brand; mkdir brand/carried/deep/added; touch .hafs-tmp.cookie.lost; ln -s g plain/s")
	})
	reported := w.barrier()
	for _, path := range []string{"a/b/c/file", "plain/f", "plain/s", "a/file", "leaf/gone", "new/er/dir/f", "old", "moving/in", "a/in/here/f", "a/x", "moving/x/y"} {
		if !told(reported, path) {
			t.Errorf("not told of %s: %v", path, reported)
		}
	}
	for _, path := range []string{"g", "d/e/f", "many/7", "a/b/file"} {
		if told(reported, path) {
			t.Errorf("told of %s, which did not change: %v", path, reported)
		}
	}
	if !slices.Contains(reported, change.Change{Kind: change.Barrier, Path: "lost"}) {
		t.Errorf("a barrier was lost: %v", reported)
	}
	w.sh("rm .hafs-tmp.cookie.lost; for d in new/er/dir brand/carried/deep/added a/in/here moving/x/y a/b/c leaf; do echo x > $d/after; done")
	reported = w.barrier()
	for _, path := range []string{"new/er/dir/after", "brand/carried/deep/added/after", "a/in/here/after", "moving/x/y/after", "a/b/c/after", "leaf/after"} {
		if !slices.Contains(reported, change.Change{Kind: change.Look, Path: path}) {
			t.Errorf("not told of %s: %v", path, reported)
		}
	}
}

// A file that goes before its directory's files were listed, because it just got its first directory, is not on the list.
func TestFileLostBeforeItsDirectoryIsListed(t *testing.T) {
	var k stalled
	w := newWatched(t, func(w *watched) { stall(&k)(w); w.sh("mkdir plain; touch plain/f plain/g") })
	w.quiet()
	k.hold.Lock()
	w.sh("mkdir plain/first")
	eventually(t, func() error { // the reader has this much, and no more
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.waiting.Raw) == 0 {
			return errors.New("the reader did not read")
		}
		return nil
	})
	k.hold.Unlock()
	w.overflow(&k, false, func() { w.sh("rm plain/f") })
	if reported := w.barrier(); !told(reported, "plain/f") {
		t.Errorf("not told of plain/f: %v", reported)
	}
}

// When the clock was set back, dates say nothing.
func TestOverflowWithClockSetBack(t *testing.T) {
	var k stalled
	w := newWatched(t, func(w *watched) {
		stall(&k)(w)
		w.watcher.Clock = func() Moment {
			m := now()
			m.Wall -= int64(time.Hour)
			return m
		}
		w.sh("mkdir noise; touch noise/0 noise/1")
	})
	w.barrier()
	w.overflow(&k, false, func() { w.sh("mkdir -p deep/er; touch -d 2001-01-01 g") })
	if reported := w.barrier(); !slices.Contains(reported, change.Change{Kind: change.Rescan, Path: "."}) {
		t.Errorf("no rescan of everything: %v", reported)
	}
	w.sh("touch deep/er/after")
	if reported := w.barrier(); !told(reported, "deep/er/after") {
		t.Errorf("what was made during the overflow is not watched: %v", reported)
	}
}

func TestSetBack(t *testing.T) {
	second := int64(time.Second)
	for _, c := range []struct {
		wall, steady int64 // seconds that passed
		want         bool
	}{
		{10, 10, false}, {0, 0, false}, {3600, 1, false} /* set forward, or asleep */, {8, 10, true}, {-3600, 1, true}, {-1, 1, true},
	} {
		if got := setBack(Moment{}, Moment{c.wall * second, c.steady * second}); got != c.want {
			t.Errorf("%d s passed, and the clock went on by %d s: %v", c.steady, c.wall, got)
		}
	}
}

// What a walk cannot find is left to a rescan of everything, with a new queue.
func TestWalkThatFails(t *testing.T) {
	opened := 0
	w := newWatched(t, func(w *watched) {
		w.watcher.Open = func() (Kernel, error) {
			opened++
			k, err := Inotify()
			if opened == 1 {
				k = &lossy{Kernel: k}
			}
			return k, err
		}
	})
	eventually(t, func() error { // that of the beginning; nothing was lost until now, as nothing has happened
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.reported) == 0 {
			return errors.New("nothing is reported")
		}
		w.reported = nil
		return nil
	})
	w.sh("touch x")
	eventually(t, func() error {
		if w.watcher.Counts().Overflows == 0 {
			return errors.New("nothing was lost")
		}
		return nil
	})
	reported := w.barrier()
	if !slices.Contains(reported, change.Change{Kind: change.Rescan, Path: "."}) {
		t.Errorf("no rescan of everything: %v", reported)
	}
}

// lossy is a kernel that loses the first events and then takes no watches.
type lossy struct {
	Kernel
	lost bool
}

func (k *lossy) Take() (Batch, error) {
	_, err := k.Kernel.Take()
	k.lost = true
	return Batch{Raw: packed(event{-1, unix.IN_Q_OVERFLOW, ""}), Sure: []Moment{now()}}, err
}

func (k *lossy) Watch(fd int, top bool) (int32, error) {
	if k.lost {
		return 0, unix.EIO
	}
	return k.Kernel.Watch(fd, top)
}
