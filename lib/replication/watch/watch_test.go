package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// watched is a share under a running Watcher, and what it has reported.
type watched struct {
	t       *testing.T
	share   string
	watcher *Watcher
	stopped chan error

	mu       sync.Mutex
	reported []change.Change
	hold     chan struct{} // when set, reports wait for it
	barriers int
}

func newWatched(t *testing.T, change func(w *watched)) *watched {
	t.Helper()
	w := &watched{t: t, share: filepath.Join(t.TempDir(), "share"), stopped: make(chan error, 1)}
	must(t, os.MkdirAll(filepath.Join(w.share, "d/e"), 0o755))
	w.sh("echo f > d/e/f; echo g > g")
	root, err := tree.Open(w.share)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	w.watcher = &Watcher{Share: w.share, Root: root, Open: Inotify, Settle: time.Millisecond, Log: zerolog.Nop()}
	if change != nil {
		change(w)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.stopped <- w.watcher.Run(ctx, w.take)
		close(done)
	}()
	t.Cleanup(func() { stop(); <-done })
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *watched) take(changes []change.Change) error {
	w.mu.Lock()
	w.reported = append(w.reported, changes...)
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return nil
}

func (w *watched) sh(script string) {
	w.t.Helper()
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = w.share
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// barrier waits until everything that happened before has been reported, and returns all reports since the last call.
func (w *watched) barrier() []change.Change {
	w.t.Helper()
	w.barriers++
	id := fmt.Sprintf("test-%d", w.barriers)
	cookie := filepath.Join(w.share, change.CookiePrefix+id)
	must(w.t, os.WriteFile(cookie, nil, 0o600))
	defer os.Remove(cookie)
	deadline := time.Now().Add(10 * time.Second)
	for {
		w.mu.Lock()
		for i, c := range w.reported {
			if c == (change.Change{Kind: change.Barrier, Path: id}) {
				before := w.reported[:i]
				w.reported = w.reported[i+1:]
				w.mu.Unlock()
				return before
			}
		}
		w.mu.Unlock()
		select {
		case err := <-w.stopped:
			w.t.Fatalf("barrier %s will not come: %v", id, err)
		default:
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("barrier %s was not reported; reported: %v", id, w.reported)
		}
		time.Sleep(time.Millisecond)
	}
}

func told(changes []change.Change, path string) bool {
	for _, c := range changes {
		if c.Path == path || c.Kind == change.Rescan && change.Within(path, c.Path) {
			return true
		}
	}
	return false
}

func TestFirstReportIsARescan(t *testing.T) {
	w := newWatched(t, nil)
	if got := w.barrier(); len(got) != 1 || got[0].String() != "rescan ." {
		t.Errorf("got %v", got)
	}
}

func TestStories(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: owners are changed")
	}
	text, err := os.ReadFile("testdata/stories.txt")
	must(t, err)
	for _, story := range strings.Split(string(text), "\n== ")[1:] {
		name, rest, _ := strings.Cut(story, "\n")
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			script, _, _ := strings.Cut(rest, "\n")
			w := newWatched(t, nil)
			w.barrier()
			w.sh(script)
			reported := w.barrier()
			for line := range strings.Lines(rest) {
				verb, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				if verb != "told" && verb != "silent" {
					continue
				}
				want, err := change.Parse("look " + text)
				must(t, err)
				if told(reported, want.Path) != (verb == "told") {
					t.Errorf("%s %s: reported %v", verb, text, reported)
				}
			}
		})
	}
}

// hafs-linkcheck writes a file without a name every second, which the kernel tells of under the name "#" and its inode. A file that really has such a
// name is a file like any other, also when it has gone by the time we look.
func TestFilesWithoutName(t *testing.T) {
	var raw []string
	var mu sync.Mutex
	w := newWatched(t, func(w *watched) {
		w.watcher.Raw = func(text string) {
			mu.Lock()
			defer mu.Unlock()
			raw = append(raw, text)
		}
	})
	w.barrier()
	fd, err := unix.Open(w.share, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Skip("this file system has no files without a name: ", err)
	}
	f := os.NewFile(uintptr(fd), "canary")
	_, err = f.Write(make([]byte, 512))
	must(t, errors.Join(err, unix.Fdatasync(fd), unix.Fchmod(fd, 0o640), f.Close()))
	if reported := w.barrier(); slices.ContainsFunc(reported, func(c change.Change) bool { return c.Kind != change.Barrier && c.Path != "." }) {
		t.Errorf("reported: %v", reported)
	}
	mu.Lock()
	if !slices.ContainsFunc(raw, func(text string) bool { return strings.Contains(text, "/#") }) {
		t.Log("the kernel told nothing of it")
	}
	mu.Unlock()
	w.sh("echo x > '#12'; echo x > d/e/'#13'; echo x > '#12x'")
	reported := w.barrier()
	for _, path := range []string{"#12", "d/e/#13", "#12x"} {
		if !told(reported, path) {
			t.Errorf("not told of %s: %v", path, reported)
		}
	}
	w.sh("echo y > '#12'")
	if reported := w.barrier(); !told(reported, "#12") {
		t.Errorf("not told that #12 was written: %v", reported)
	}
	w.sh("echo z > '#12'; rm '#12' d/e/'#13'")
	for reported, i := w.barrier(), 0; i < 2; i++ {
		if path := []string{"#12", "d/e/#13"}[i]; !told(reported, path) {
			t.Errorf("not told that %s has gone: %v", path, reported)
		}
	}
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A reader that does not read holds up nothing: events go on being taken from the kernel, and too many become a rescan.
func TestSlowReader(t *testing.T) {
	w := newWatched(t, func(w *watched) { w.watcher.Limit = 50 })
	w.barrier()
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold = hold
	w.mu.Unlock()
	w.sh("mkdir d/many; for i in $(seq 300); do echo x > d/e/$i; done; touch last")
	eventually(t, func() error {
		if w.watcher.Counts().Collapses == 0 {
			return errors.New("details were not given up")
		}
		return nil
	})
	w.mu.Lock()
	w.hold = nil
	w.mu.Unlock()
	close(hold)
	reported := w.barrier()
	for _, path := range []string{"d/e/1", "d/e/300", "last"} {
		if !told(reported, path) {
			t.Errorf("not told of %s: %v", path, reported)
		}
	}
	if len(reported) > 120 {
		t.Errorf("%d reports in spite of a limit of 50", len(reported))
	}
}

// The limit is that of a user namespace of its own: lowering the machine's would hit every other program on it.
func TestWatchLimit(t *testing.T) {
	const inside = "HAFS_TEST_WATCH_LIMIT"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWatchLimit$")
		cmd.Env = append(os.Environ(), inside+"=1")
		root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: root, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs a user namespace: ", err)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	must(t, os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("3"), 0))
	w := newWatched(t, func(w *watched) { w.sh("mkdir -p a/b/c/d/e/f/g") })
	select {
	case err := <-w.stopped:
		if !errors.Is(err, ErrLimit) || problem.Of(err) != problem.NoWatches || !strings.Contains(err.Error(), "fs.inotify.max_user_watches is ") ||
			!strings.Contains(err.Error(), "too few for the 10 directories of the share; raise it: sysctl -w fs.inotify.max_user_watches="+fmt.Sprint(2*max(10, setting(watchesSetting)))) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestShareThatIsGone(t *testing.T) {
	for name, vanish := range map[string]func(t *testing.T, w *watched){
		"moved":   func(t *testing.T, w *watched) { must(t, os.Rename(w.share, w.share+"2")) },
		"deleted": func(t *testing.T, w *watched) { must(t, os.RemoveAll(w.share)) },
		"covered by a mount": func(t *testing.T, w *watched) {
			if err := unix.Mount("none", w.share, "tmpfs", 0, ""); err != nil {
				t.Skip("needs to mount: ", err)
			}
			t.Cleanup(func() { _ = unix.Unmount(w.share, unix.MNT_DETACH) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, nil)
			w.barrier()
			vanish(t, w)
			select {
			case err := <-w.stopped:
				if !errors.Is(err, ErrGone) {
					t.Errorf("got %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}

func TestUnmountedShare(t *testing.T) {
	mount := t.TempDir()
	if err := unix.Mount("none", mount, "tmpfs", 0, ""); err != nil {
		t.Skip("needs to mount: ", err)
	}
	root, err := tree.Open(mount)
	must(t, err)
	w := &Watcher{Share: mount, Root: root, Open: Inotify, Log: zerolog.Nop()}
	ready := make(chan struct{})
	w.Ready = func() { close(ready) }
	stopped := make(chan error, 1)
	go func() { stopped <- w.Run(t.Context(), func([]change.Change) error { return nil }) }()
	<-ready
	defer root.Close()
	must(t, unix.Unmount(mount, unix.MNT_DETACH))
	select {
	case err := <-stopped:
		if !errors.Is(err, ErrGone) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

// A reader that fails ends the watch with its error.
func TestReaderThatFails(t *testing.T) {
	root, err := tree.Open(t.TempDir())
	must(t, err)
	defer root.Close()
	w := &Watcher{Share: root.Name, Root: root, Open: Inotify, Log: zerolog.Nop()}
	if err := w.Run(t.Context(), func([]change.Change) error { return unix.EPIPE }); !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v", err)
	}
}
