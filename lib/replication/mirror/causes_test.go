package mirror

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// disk mounts an ext4 of its own at a directory, which chattr(1) works on whatever the tests' own file system is. It gives the image.
func disk(t *testing.T, path string) (image string) {
	t.Helper()
	image = filepath.Join(t.TempDir(), "image")
	tool(t, "truncate", "-s", "64M", image)
	tool(t, "mkfs.ext4", "-q", image)
	tool(t, "mount", "-o", "loop", image, path)
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return image
}

// tool runs a program of the system; without it, or where it may not do this, the test is skipped.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("cannot %s here: %v: %s", name, err, out)
	}
}

// immutable forbids every change of a file or directory, also to root.
func immutable(t *testing.T, path string) (free func()) {
	t.Helper()
	tool(t, "chattr", "+i", path)
	free = func() { _ = exec.Command("chattr", "-i", path).Run() }
	t.Cleanup(free)
	return free
}

// Who lacks very much is no other than who lacks little: others go on, and it is replaced.
func TestAReplicaThatLacksThousandsOfPathsIsBehindLikeOneThatLacksOne(t *testing.T) {
	for name, c := range map[string]struct {
		dir   string
		parts Parts
	}{
		"of one directory":                 {"in/d", Parts{}},
		"of one that is compared in parts": {"in/d", Parts{Entries: 300, Writes: 200, Bytes: 1 << 20}},
		"of the share itself":              {".", Parts{}},
	} {
		t.Run(name, func(t *testing.T) { lacksThousands(t, c.dir, c.parts) })
	}
}

func lacksThousands(t *testing.T, dir string, parts Parts) {
	w := three(t)
	w.parts = parts
	w.more["B"] = w.to(w.copy("B"))
	w.sh("mkdir -p in/d; cd " + dir + "; for i in $(seq 1500); do echo 1 > $i; done")
	disk(t, w.copy("B"))
	must(t, os.WriteFile(filepath.Join(w.copy("B"), change.Marker), []byte(testMarker), 0o644))
	must(t, os.Remove(filepath.Join(w.copy("B"), "lost+found")))
	w.run()
	w.restored("r", "B", "C")
	free := immutable(t, filepath.Join(w.copy("B"), dir))
	failures := w.status("B").Failures
	w.sh("cd " + dir + "; for i in $(seq 1500); do echo 22 > $i; done")
	l := w.lacked("B", dir, OfReplica)
	if l.Errno != syscall.EPERM || !strings.Contains(l.Cause, change.Join(dir, "1")) || !l.Below {
		t.Errorf("%+v", l)
	}
	if b := w.mirror.Status().Behind; b == nil || b.Name != "B" || b.Path != dir || b.Since.After(l.Since) {
		t.Errorf("behind: %+v", b)
	}
	must(t, w.settles("first", "x")) // behind all those
	for i := range 3 {
		began := time.Now()
		if err := w.settles(fmt.Sprint("other", i), "x"); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("another change: %v after %s", err, time.Since(began))
		}
	}
	must(t, w.settles(change.Join(dir, "7"), "333"))
	again := w.lacked("B", dir, OfReplica)
	if s := w.status("B"); s.Failures != failures || s.State != Complete || again.Since.After(l.Since) {
		t.Errorf("B began anew: %+v", s)
	}
	free()
	w.restored("B")
	if text, err := os.ReadFile(filepath.Join(w.copy("B"), dir, "7")); string(text) != "333" {
		t.Errorf("%q, %v", text, err)
	}
	w.settle()
}
