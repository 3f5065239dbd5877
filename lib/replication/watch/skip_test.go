package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

func mounted(t *testing.T, target string) (unmount func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	if err := unix.Mount("t", target, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	unmount = func() { _ = unix.Unmount(target, unix.MNT_DETACH) }
	t.Cleanup(unmount)
	return unmount
}

// eventually waits until a change of a path is reported, or of all below a directory above it.
func (w *watched) eventually(path string) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !told(w.barrier(), path); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s was not reported", path)
		}
	}
}

func TestAMountBelowTheShareIsNotWatchedAndStopsNothing(t *testing.T) {
	var unmount func()
	w := newWatched(t, func(w *watched) {
		w.sh("mkdir -p d/e/m")
		unmount = mounted(w.t, filepath.Join(w.share, "d/e/m"))
		w.sh("mkdir d/e/m/inside")
	})
	w.barrier()
	w.sh("echo x > d/e/m/inside/x; echo x > d/e/beside")
	got := w.barrier()
	if !told(got, "d/e/beside") || told(got, "d/e/m/inside/x") {
		t.Errorf("reported: %v", got)
	}
	unmount()
	w.eventually("d/e/m/anything") // no event tells of an unmount
	w.sh("mkdir d/e/m/now; echo x > d/e/m/now/x")
	w.eventually("d/e/m/now/x")
}

func TestAMountThatComesLaterIsLeftOutByALookAround(t *testing.T) {
	w := newWatched(t, nil)
	w.barrier()
	w.sh("mkdir -p later/m")
	w.barrier()
	mounted(t, filepath.Join(w.share, "later/m"))
	w.sh("mv later moved; echo x > moved/x")
	if got := w.barrier(); !told(got, "moved/x") {
		t.Errorf("reported: %v", got)
	}
	must(t, unix.Unmount(filepath.Join(w.share, "moved/m"), 0))
	w.sh("echo x > moved/m/x")
	w.eventually("moved/m/x")
}

// Whoever makes directories step by step can go deeper than any path can name.
func TestAPathThatIsTooLongIsReportedAsTheDirectoryAbove(t *testing.T) {
	w := newWatched(t, nil)
	w.barrier()
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
	defer unix.Close(fd)
	w.eventually(name)
	must(t, unix.Mkdirat(fd, "deep", 0o755))
	w.sh("echo x > d/beside")
	got := w.barrier()
	if !told(got, "d/beside") {
		t.Errorf("reported: %v", got)
	}
	for _, c := range got {
		if len(c.Path) > change.MaxPathBytes {
			t.Errorf("a path of %d bytes was reported", len(c.Path))
		}
	}
}
