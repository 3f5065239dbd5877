package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// three is a share with the replicas r, B and C.
func three(t *testing.T) *world {
	t.Helper()
	return newWorld(t, "stream").three()
}

func (w *world) three() *world {
	t := w.t
	w.more = map[string]Transport{}
	for _, name := range []string{"B", "C"} {
		must(t, os.Mkdir(w.copy(name), 0o755))
		must(t, os.WriteFile(filepath.Join(w.copy(name), change.Marker), []byte(testMarker), 0o644))
		w.more[name] = w.to(w.copy(name))
	}
	return w
}

func (w *world) copy(name string) string {
	if name == "r" {
		return w.replica
	}
	return w.replica + name
}

// covered puts a mount over a path of the replica, which cannot be replaced then.
func covered(t *testing.T, path string) (free func()) {
	t.Helper()
	if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	free = func() { _ = unix.Unmount(path, unix.MNT_DETACH) }
	t.Cleanup(free)
	return free
}

func (w *world) mount(path, kind string) (unmount func()) {
	w.t.Helper()
	must(w.t, os.MkdirAll(path, 0o755))
	if err := unix.Mount("t", path, kind, 0, ""); err != nil {
		w.t.Skip("cannot mount here: ", err)
	}
	unmount = func() { _ = unix.Unmount(path, unix.MNT_DETACH) }
	w.t.Cleanup(unmount)
	return unmount
}

// settles makes a client's change and says what is answered.
func (w *world) settles(path, content string) error {
	w.t.Helper()
	must(w.t, os.WriteFile(w.path(path), []byte(content), 0o644))
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	return w.mirror.Settle(ctx, []string{path}, 0)
}

// lacked waits until a replica is known to lack a path, and everything else of it is complete.
func (w *world) lacked(name, path string, side Side) Lack {
	w.t.Helper()
	var found Lack
	eventually(w.t, func() error {
		s := w.status(name)
		for _, l := range s.Lacks {
			if l.Path == path && l.Side == side && s.State == Complete {
				found = l
				return nil
			}
		}
		return fmt.Errorf("%+v", s)
	})
	return found
}

func (w *world) restored(names ...string) {
	w.t.Helper()
	for _, name := range names {
		eventually(w.t, func() error {
			if s := w.status(name); len(s.Lacks) > 0 || s.State != Complete {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
}

func TestAFileThatOneReplicaCannotReplaceCostsThatReplica(t *testing.T) {
	bothWays(t, "file", oneCannotReplace)
}

func oneCannotReplace(t *testing.T, kind string) {
	w := newWorld(t, kind).three()
	w.run()
	must(t, os.Mkdir(w.path("d"), 0o755))
	must(t, w.settles("d/f", "1"))
	w.restored("r", "B", "C")
	free := covered(t, filepath.Join(w.copy("B"), "d/f"))
	if err := w.settles("d/f", "22"); err != nil {
		t.Errorf("two of three take it: %v", err)
	}
	l := w.lacked("B", "d/f", OfReplica)
	if l.Errno != syscall.EBUSY || !strings.Contains(l.Cause, "d/f") {
		t.Errorf("%+v", l)
	}
	if b := w.mirror.Status().Behind; b == nil || b.Name != "B" || b.Path != "d/f" {
		t.Errorf("behind: %+v", b)
	}
	failures := w.status("B").Failures
	for i := range 5 {
		if err := w.settles(fmt.Sprint("other", i), "x"); err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() error {
		_, err := os.Stat(filepath.Join(w.copy("B"), "other4"))
		return err
	})
	if s := w.status("B"); s.Failures != failures || s.State != Complete {
		t.Errorf("B began anew: %+v", s)
	}
	if a := w.mirror.Wait(Request{Copies: 2, Timeout: 10 * time.Second}); !a.OK {
		t.Errorf("the barrier says %+v", a)
	}
	if a := w.mirror.Wait(Request{Replica: "B", Timeout: 50 * time.Millisecond}); a.OK || !strings.Contains(strings.Join(a.Lagging, " "), "lacks d/f") {
		t.Errorf("the barrier says %+v", a)
	}
	free()
	w.restored("B")
	if text, err := os.ReadFile(filepath.Join(w.copy("B"), "d/f")); string(text) != "22" {
		t.Errorf("%q, %v", text, err)
	}
	w.settle()
}

func TestAFileThatMostReplicasCannotReplaceIsRefused(t *testing.T) {
	w := three(t)
	w.run()
	must(t, w.settles("f", "1"))
	w.restored("r", "B", "C")
	freeB, freeC := covered(t, filepath.Join(w.copy("B"), "f")), covered(t, filepath.Join(w.copy("C"), "f"))
	var refused Uncopied
	if err := w.settles("f", "22"); !errors.As(err, &refused) || !errors.Is(err, syscall.EBUSY) || refused.Path != "f" {
		t.Errorf("answered %v", err)
	}
	began := time.Now()
	if err := w.settles("other", "x"); err != nil || time.Since(began) > time.Second {
		t.Errorf("another change: %v after %s", err, time.Since(began))
	}
	w.lacked("B", "f", OfReplica)
	w.lacked("C", "f", OfReplica)
	if b := w.mirror.Status().Behind; b == nil {
		t.Error("nobody is behind r")
	}
	freeB()
	freeC()
	w.restored("B", "C")
	must(t, w.settles("f", "333"))
	w.settle()
}

// A path that FS cannot read is nobody's fault. What the replicas have there stays.
func TestAMountInTheShareCostsItself(t *testing.T) {
	for _, kind := range []string{"tmpfs", "proc"} {
		bothWays(t, kind, func(t *testing.T, way string) {
			w := newWorld(t, way).three()
			must(t, os.MkdirAll(w.path("d/m"), 0o755))
			must(t, os.WriteFile(w.path("d/m/before"), []byte("x"), 0o644))
			w.run()
			unmount := w.mount(w.path("d/m"), kind)
			must(t, w.settles("d/wakes", "x"))
			w.mirror.Report(change.Change{Kind: change.Rescan, Path: "d"})
			for _, name := range []string{"r", "B", "C"} {
				if l := w.lacked(name, "d/m", OfShare); !strings.Contains(l.Cause, "mount") {
					t.Errorf("%+v", l)
				}
			}
			must(t, w.settles("other", "x"))
			if b := w.mirror.Status().Behind; b != nil {
				t.Errorf("behind: %+v", b)
			}
			for _, r := range w.mirror.replicas {
				r.compareAgain()
			}
			must(t, w.settles("another", "x"))
			if _, err := os.Stat(filepath.Join(w.replica, "d/m/before")); err != nil {
				t.Error("what is below the mount went from the replica: ", err)
			}
			if names, _ := filepath.Glob(filepath.Join(w.replica, "d/m/*")); len(names) != 1 {
				t.Errorf("the mount was crossed: %v", names)
			}
			if a := w.mirror.Wait(Request{Timeout: 10 * time.Second}); !a.OK {
				t.Errorf("a planned move would not come to its end: %+v", a)
			}
			unmount()
			w.restored("r", "B", "C")
			w.settle()
		})
	}
}

func TestAPathThatIsTooLongCostsItself(t *testing.T) {
	w := three(t)
	w.run()
	fd, err := unix.Open(w.share, unix.O_DIRECTORY, 0)
	must(t, err)
	name := strings.Repeat("l", 250)
	for range 20 {
		must(t, unix.Mkdirat(fd, name, 0o755))
		below, err := unix.Openat(fd, name, unix.O_DIRECTORY, 0)
		must(t, err)
		unix.Close(fd)
		fd = below
	}
	unix.Close(fd)
	must(t, w.settles("other", "x"))
	eventually(t, func() error {
		s := w.status("B")
		if len(s.Lacks) != 1 || s.Lacks[0].Errno != syscall.ENAMETOOLONG || s.Lacks[0].Side != OfShare || s.State != Complete {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	must(t, w.settles("further", "x"))
	if b := w.mirror.Status().Behind; b != nil {
		t.Errorf("behind: %+v", b)
	}
	w.sh("rm -rf lll*")
	w.restored("r", "B", "C")
	w.settle()
}

func TestReplicasWithoutRoomRefuseWhatTheyCannotTake(t *testing.T) {
	w := three(t)
	for _, name := range []string{"B", "C"} {
		must(t, unix.Mount("t", w.copy(name), "tmpfs", 0, "size=1m"))
		t.Cleanup(func() { _ = unix.Unmount(w.copy(name), unix.MNT_DETACH) })
		must(t, os.WriteFile(filepath.Join(w.copy(name), change.Marker), []byte(testMarker), 0o644))
	}
	w.run()
	if err := w.settles("large", strings.Repeat("0123456789", 300_000)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("answered %v", err)
	}
	must(t, w.settles("small", "x"))
	w.lacked("B", "large", OfReplica)
	must(t, os.Remove(w.path("large")))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, w.mirror.Settle(ctx, []string{"large"}, 0))
	w.restored("B", "C")
	w.settle()
}

// What comes in one batch with a file for which there is no room is tried without that.
func TestOneFileWithoutRoomTakesNoRoomFromOthers(t *testing.T) {
	w := newWorld(t, "stream")
	must(t, unix.Mount("t", w.replica, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { _ = unix.Unmount(w.replica, unix.MNT_DETACH) })
	must(t, os.WriteFile(filepath.Join(w.replica, change.Marker), []byte(testMarker), 0o644))
	s := w.transport().(*Stream)
	defer s.Close()
	s.lacks = newLacks()
	must(t, s.Apply(t.Context(), everything))
	w.sh("head -c 3000000 /dev/urandom > large; for i in $(seq 100); do echo $i > small$i; done")
	looks := []change.Change{{Kind: change.Look, Path: "large"}}
	for i := range 100 {
		looks = append(looks, change.Change{Kind: change.Look, Path: fmt.Sprint("small", i+1), Waited: true})
	}
	must(t, s.Apply(t.Context(), looks))
	if found := s.lacks.list(); len(found) != 1 || found[0].Path != "large" || found[0].Errno != syscall.ENOSPC {
		t.Errorf("%+v", found)
	}
}

// What cannot be made on the replica keeps what is below it from being made, and all of it comes when it can be.
func TestADirectoryThatCannotBeMadeIsNamedOnce(t *testing.T) {
	bothWays(t, "directory", unmadeDirectory)
}

func unmadeDirectory(t *testing.T, kind string) {
	w := newWorld(t, kind).three()
	w.run()
	must(t, os.WriteFile(w.path("x"), []byte("x"), 0o644))
	w.settle()
	free := covered(t, filepath.Join(w.copy("B"), "x"))
	w.sh("rm x; mkdir -p x/y; echo 1 > x/y/z; echo 2 > x/w")
	w.lacked("B", "x", OfReplica)
	if s := w.status("B"); len(s.Lacks) != 1 {
		t.Errorf("%+v", s.Lacks)
	}
	must(t, w.settles("x/y/z", "22"))
	free()
	w.restored("B")
	w.settle()
}

// Copies that do nothing are not waited for without an end.
func TestCopiesThatDoNothingAreGivenUp(t *testing.T) {
	m, _ := threeReplicas(t)
	m.mu.Lock()
	m.Patience = 300 * time.Millisecond
	for _, r := range m.replicas {
		r.transport = frozen{}
	}
	m.mu.Unlock()
	began := time.Now()
	err := m.Settle(t.Context(), []string{"file"}, 0)
	if !errors.Is(err, syscall.EIO) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// frozen is a replica that makes no progress.
type frozen struct{}

func (frozen) Apply(ctx context.Context, _ []change.Change) error { <-ctx.Done(); return ctx.Err() }
func (frozen) Close()                                             {}
func (frozen) Progress() int64                                    { return 0 }
