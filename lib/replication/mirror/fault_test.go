package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

var everything = []change.Change{{Kind: change.Rescan, Path: "."}}

// writingSteps are all steps that change a replica; see package tree.
var writingSteps = []string{
	"make directory", "make temporary", "write", "sync", "set owner", "set mode", "set times", "rename", "make symlink", "link", "move aside",
	"remove", "remove directory", "move", "discard",
}

// before and after make two states of a share, such that going from one to the other takes every kind of step.
const stateBefore = `
mkdir -p d/sub t/gone/deep moved/in; echo old > f; echo old > d/f; echo old > becomes-dir; echo x > moved/in/file; echo y > moved-file
mkdir -p becomes-file/full; echo x > becomes-file/full/f; ln -s old l; echo one > h1; ln h1 h2; chmod 640 d/f; chown 5:6 d/f; echo x > t/gone/deep/f
touch -d 2001-01-01 d f`
const stateAfter = `
echo new-longer > f; echo new-longer > d/f; rm becomes-dir; mkdir -p becomes-dir/sub; echo x > becomes-dir/sub/f; rm -r becomes-file; echo file > becomes-file
ln -sfn new l; echo two-longer > h1; ln h1 h3; chmod 4755 d/f; chown 7:8 f; rm -r t/gone; mkdir -p n/n/n; echo n > n/n/n/f; mv moved moved-2; mv moved-file moved-file-2
touch -d 2002-02-02 d`

// Wherever writing stops, by an error or for good, what is on the replica is whole, and the next comparison completes it (I7).
func TestWritingStopsAnywhere(t *testing.T) {
	for _, forGood := range []bool{false, true} {
		for _, step := range writingSteps {
			t.Run(fmt.Sprintf("%s_forgood=%v", strings.ReplaceAll(step, " ", "_"), forGood), func(t *testing.T) {
				local(t, func(t *testing.T, w *world) { w.stopAt(t, step, forGood) })
			})
		}
	}
}

func (w *world) stopAt(t *testing.T, step string, forGood bool) {
	var armed, struck atomic.Bool
	w.before = func(s string) error {
		if armed.Load() && (s == step && !struck.Swap(true) || forGood && struck.Load()) {
			return unix.EDOM
		}
		return nil
	}
	d := w.transport()
	w.sh(stateBefore)
	must(t, d.Apply(t.Context(), everything))
	w.same()
	old := w.contents(w.replica)

	w.sh(stateAfter)
	armed.Store(true)
	err := d.Apply(t.Context(), append([]change.Change{
		{Kind: change.Look, Path: "moved-2"}, {Kind: change.Look, Path: "moved-file-2"}, {Kind: change.Look, Path: "f", Waited: true},
	}, everything...))
	if !struck.Load() {
		t.Fatalf("the step %q was never made: this test proves nothing", step)
	}
	if step != "discard" && !errors.Is(err, unix.EDOM) {
		t.Fatalf("the error was lost: %v", err)
	}
	share := w.contents(w.share)
	for path, content := range w.contents(w.replica) {
		if !change.Temporary(path) && content != old[path] && content != share[path] {
			t.Errorf("%s is neither old nor new: %q", path, content)
		}
		if change.Temporary(path) && !forGood && step != "discard" && !strings.HasPrefix(step, "remove") {
			t.Errorf("%s was left", path)
		}
	}
	d.Close()
	armed.Store(false)
	must(t, w.transport().Apply(t.Context(), everything)) // as after a restart: nothing is remembered
	w.same()
}

// same demands that the replica is identical, without a barrier.
func (w *world) same() {
	w.t.Helper()
	if lines := w.differences(); lines != "" {
		w.t.Fatalf("the replica differs:\n%s", lines)
	}
}

// contents are the files below a directory and what is in them.
func (w *world) contents(dir string) map[string]string {
	w.t.Helper()
	files := map[string]string{}
	must(w.t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(text)
		return err
	}))
	return files
}

func TestNothingIsTouchedWithoutTheRightMarker(t *testing.T) {
	local(t, func(t *testing.T, w *world) {
		w.sh("echo x > f")
		first := w.transport()
		must(t, first.Apply(t.Context(), everything))
		first.Close()
		for name, situation := range map[string]struct{ share, replica string }{
			"an emptied replica":             {"", "rm .hafs-share"},
			"a replica of another share":     {"", "echo cluster: other > .hafs-share"},
			"an emptied share":               {"rm .hafs-share f", ""},
			"a share of another cluster":     {"echo cluster: other > .hafs-share; rm f", ""},
			"a marker that is no plain file": {"", "rm .hafs-share; ln -s ../share/.hafs-share .hafs-share"},
		} {
			t.Run(name, func(t *testing.T) {
				w.sh("echo cluster: test > .hafs-share; echo x > f")
				w.behind("rm -f .hafs-share; echo cluster: test > .hafs-share; echo x > f; touch -r ../share/f f")
				running := w.transport() // it was right when it began
				must(t, running.Apply(t.Context(), nil))
				w.sh("true;" + situation.share)
				w.behind("true;" + situation.replica)
				for _, transport := range []Transport{running, w.transport()} {
					if err := transport.Apply(t.Context(), everything); err == nil {
						t.Error("not refused")
					}
					transport.Close()
				}
				if _, err := os.Stat(filepath.Join(w.replica, "f")); err != nil {
					t.Error("deleted all the same: ", err)
				}
			})
		}
	})
}

// A share whose directories cannot be read any more takes nothing away from a replica (I5).
func TestUnreadableShareDeletesNothing(t *testing.T) {
	local(t, func(t *testing.T, w *world) {
		w.sh("mkdir -p d/e; echo x > d/f; echo y > d/e/g; echo z > top")
		mount, server := mountStoppable(t, w.share)
		root, err := tree.Open(mount)
		must(t, err)
		defer root.Close()
		w.root = root
		d := w.transport()
		must(t, d.Apply(t.Context(), everything))
		before := w.contents(w.replica)

		must(t, unix.Kill(server(), unix.SIGKILL))
		eventually(t, func() error {
			if _, err := os.ReadDir(mount); err == nil && root.StillThere() == nil { // sshfs may have unmounted it by now
				return errors.New("the share still answers")
			}
			return nil
		})
		if err := d.Apply(t.Context(), everything); err == nil {
			t.Error("a share that does not answer was compared")
		}
		if after := w.contents(w.replica); len(after) != len(before) {
			t.Errorf("%d files became %d", len(before), len(after))
		}
	})
}

// mountStoppable is mountSSHFS, and returns the process id of its server.
func mountStoppable(t *testing.T, dir string) (mount string, server func() int) {
	t.Helper()
	pidFile := filepath.Join(t.TempDir(), "pid")
	t.Setenv("HAFS_TEST_PID_FILE", pidFile)
	mount = mountSSHFS(t, dir)
	return mount, func() int {
		text, err := os.ReadFile(pidFile)
		must(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		must(t, err)
		return pid
	}
}

func TestVanishedShareEndsTheMirror(t *testing.T) {
	for name, vanish := range map[string]func(t *testing.T, w *world){
		"moved":   func(t *testing.T, w *world) { must(t, os.Rename(w.share, w.share+".away")) },
		"deleted": func(t *testing.T, w *world) { must(t, os.RemoveAll(w.share)) },
		"covered by a mount": func(t *testing.T, w *world) {
			if err := unix.Mount("none", w.share, "tmpfs", 0, ""); err != nil {
				t.Skip("needs to mount: ", err)
			}
			t.Cleanup(func() { _ = unix.Unmount(w.share, unix.MNT_DETACH) })
		},
		"another one in its place": func(t *testing.T, w *world) {
			must(t, os.Rename(w.share, w.share+".away"))
			must(t, os.Mkdir(w.share, 0o755))
			w.sh("echo cluster: test > .hafs-share")
		},
	} {
		t.Run(name, func(t *testing.T) {
			local(t, func(t *testing.T, w *world) {
				w.sh("echo x > f")
				d := w.transport()
				must(t, d.Apply(t.Context(), everything))
				vanish(t, w)
				if err := d.Apply(t.Context(), everything); !errors.Is(err, ErrShareGone) {
					t.Errorf("got %v", err)
				}
				if _, err := os.Stat(filepath.Join(w.replica, "f")); err != nil {
					t.Error("deleted all the same: ", err)
				}
			})
		})
	}
}

// A replica without room says so, keeps nothing half-written, takes what still fits and holds up no other.
func TestFullReplica(t *testing.T) {
	local(t, func(t *testing.T, w *world) {
		small := filepath.Join(t.TempDir(), "small")
		must(t, os.Mkdir(small, 0o755))
		if err := unix.Mount("none", small, "tmpfs", 0, "size=1m"); err != nil {
			t.Skip("needs to mount: ", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
		must(t, os.WriteFile(filepath.Join(small, change.Marker), []byte(testMarker), 0o644))
		w.more = map[string]Transport{"small": w.to(small)}
		w.run()

		w.sh("echo x > fits; head -c 3000000 /dev/urandom > large")
		if a := w.mirror.Wait(Request{Copies: 1, Timeout: 10 * time.Second}); !a.OK {
			t.Fatalf("the other replica was held up: %+v", a)
		}
		eventually(t, func() error {
			if s := w.status("small"); len(s.Lacks) != 1 || s.Lacks[0].Path != "large" || s.State != Complete { // it costs that path
				return fmt.Errorf("status: %+v", s)
			}
			return nil
		})
		if _, err := os.Stat(filepath.Join(small, "fits")); err != nil {
			t.Error("what fits was not written: ", err)
		}
		if a := w.mirror.Wait(Request{Timeout: 50 * time.Millisecond}); a.OK || len(a.Lagging) != 1 || !strings.Contains(a.Lagging[0], "lacks large: ") {
			t.Errorf("the barrier says %+v", a)
		}
		w.sh("rm large")
		eventually(t, func() error {
			names, err := filepath.Glob(filepath.Join(small, ".hafs-tmp.*"))
			if s := w.status("small"); s.State != Complete || len(s.Lacks) > 0 || len(names) > 0 || err != nil {
				return fmt.Errorf("strays %v, status %+v", names, s)
			}
			return nil
		})
	})
}

func (w *world) status(name string) ReplicaStatus {
	w.t.Helper()
	for _, r := range w.mirror.Status().Replicas {
		if r.Name == name {
			return r
		}
	}
	w.t.Fatalf("no replica %s", name)
	return ReplicaStatus{}
}

// A replica that stops answering holds up no other, is named, and catches up when it answers again.
func TestReplicaThatHangs(t *testing.T) {
	w := newWorld(t, "directory")
	far := filepath.Join(t.TempDir(), "far")
	must(t, os.Mkdir(far, 0o755))
	must(t, os.WriteFile(filepath.Join(far, change.Marker), []byte(testMarker), 0o644))
	mount, server := mountStoppable(t, far)
	w.more = map[string]Transport{"far": &Directory{Share: w.root, Path: mount, Workers: 4, Sync: true, Log: w.log()}}
	w.run()

	must(t, unix.Kill(server(), unix.SIGSTOP))
	resume := func() { _ = unix.Kill(server(), unix.SIGCONT) }
	defer resume()
	for i := range 20 {
		w.sh(fmt.Sprintf("mkdir d%d; echo x > d%d/f", i, i))
		if a := w.mirror.Wait(Request{Copies: 1, Timeout: 10 * time.Second}); !a.OK {
			t.Fatalf("the other replica was held up: %+v", a)
		}
	}
	eventually(t, func() error {
		if s := w.status("far"); s.Stalled == 0 || s.Pending == 0 {
			return fmt.Errorf("it is not said that it does not answer: %+v", s)
		}
		return nil
	})
	resume()
	if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
		t.Fatalf("it did not catch up: %+v", a)
	}
}

// A mount that dies and is mounted again is opened again and compared as a whole.
func TestMountThatDies(t *testing.T) {
	w := newWorld(t, "directory")
	far := filepath.Join(t.TempDir(), "far")
	must(t, os.Mkdir(far, 0o755))
	must(t, os.WriteFile(filepath.Join(far, change.Marker), []byte(testMarker), 0o644))
	mount, server := mountStoppable(t, far)
	w.more = map[string]Transport{"far": &Directory{Share: w.root, Path: mount, Workers: 4, Sync: true, Log: w.log()}}
	w.run()
	must(t, unix.Kill(server(), unix.SIGKILL))
	w.sh("echo x > f")
	eventually(t, func() error {
		if s := w.status("far"); s.State != Broken {
			return fmt.Errorf("status: %+v", s)
		}
		return nil
	})
	_ = exec.Command("fusermount3", "-u", "-z", mount).Run()
	remountSSHFS(t, far, mount)
	if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
		t.Fatalf("it did not catch up: %+v", a)
	}
	if _, err := os.Stat(filepath.Join(far, "f")); err != nil {
		t.Error(err)
	}
}

// A replica that is not wanted any more is let go even if it hangs for ever.
func TestUnwantedReplicaThatHangs(t *testing.T) {
	w := newWorld(t, "directory")
	stuck := make(chan struct{})
	defer close(stuck)
	w.more = map[string]Transport{"stuck": stuckTransport{stuck}}
	w.startMirror(context.Background())
	w.mirror.Keep(2, []Wanted{{"r", DirectoryTransport, w.replica}})
	eventually(t, func() error {
		if s := w.status("r"); s.Generation != 2 || s.State != Complete {
			return fmt.Errorf("status: %+v", s)
		}
		return nil
	})
	if n := len(w.mirror.Status().Replicas); n != 1 {
		t.Errorf("%d replicas are left", n)
	}
}

type stuckTransport struct{ until chan struct{} }

func (s stuckTransport) Apply(context.Context, []change.Change) error { <-s.until; return nil }
func (s stuckTransport) Close()                                       {}
