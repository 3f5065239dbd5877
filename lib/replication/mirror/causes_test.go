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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// disk mounts an ext4 of its own at a directory, which chattr(1) works on whatever the tests' own file system is.
func disk(t *testing.T, path string) *loop {
	t.Helper()
	d := &loop{t: t, image: filepath.Join(t.TempDir(), "image")}
	tool(t, "truncate", "-s", "64M", d.image)
	tool(t, "mkfs.ext4", "-q", "-b", "4096", "-O", "^has_journal", d.image)
	d.device = tool(t, "losetup", "--find", "--show", d.image)
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", d.device).Run() })
	tool(t, "mount", d.device, path)
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	must(t, os.Remove(filepath.Join(path, "lost+found")))
	must(t, os.WriteFile(filepath.Join(path, change.Marker), []byte(testMarker), 0o644))
	return d
}

// loop is a disk that is a file.
type loop struct {
	t             *testing.T
	image, device string
}

// fails lets the disk fail where a file is, and behind that.
func (d *loop) fails(file, path string) (free func()) {
	d.t.Helper()
	f, err := os.Open(file)
	must(d.t, err)
	defer f.Close()
	must(d.t, unix.Syncfs(int(f.Fd())))
	block, err := strconv.ParseInt(tool(d.t, "debugfs", "-R", "bmap "+path+" 0", d.device), 10, 64)
	must(d.t, err)
	whole, err := os.ReadFile(d.image)
	must(d.t, err)
	resize := func(size int64) {
		must(d.t, os.Truncate(d.image, size))
		tool(d.t, "losetup", "-c", d.device)
	}
	resize(block * 4096)
	must(d.t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	return func() {
		resize(int64(len(whole)))
		image, err := os.OpenFile(d.image, os.O_WRONLY, 0)
		must(d.t, err)
		defer image.Close()
		_, err = image.WriteAt(whole[block*4096:], block*4096)
		must(d.t, err)
	}
}

// tool runs a program of the system; without it, or where it may not do this, the test is skipped.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Skipf("cannot %s here: %v: %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// immutable forbids every change of a file or directory, also to root.
func immutable(t *testing.T, path string) (free func()) {
	t.Helper()
	tool(t, "chattr", "+i", path)
	free = func() { _ = exec.Command("chattr", "-i", path).Run() }
	t.Cleanup(free)
	return free
}

// Each cause, made for real, costs the path it is of: it is named once, other changes are answered, and it is taken when the cause is gone.
func TestEachCauseOnAReplicaCostsItsPath(t *testing.T) {
	inB := func(w *world, path string) string { return filepath.Join(w.copy("B"), path) }
	for _, c := range []struct {
		name  string
		begin func(w *world)               // before anything is replicated
		cause func(w *world) (free func()) // of what B cannot take
		done  string                       // to the share
		paths string                       // that B lacks
		errno syscall.Errno
	}{
		{"an immutable file", nil, func(w *world) func() { return immutable(w.t, inB(w, "d/f")) }, "echo 22 > d/f", "d/f", syscall.EPERM},
		{"a file in an immutable directory", nil, func(w *world) func() { return immutable(w.t, inB(w, "d")) }, "echo 22 > d/f", "d/f", syscall.EPERM},
		{"a file that is to go from it", nil, func(w *world) func() { return immutable(w.t, inB(w, "d")) }, "rm d/f", "d d/f", syscall.EPERM},
		{"a directory that is to come into it", nil, func(w *world) func() { return immutable(w.t, inB(w, "d")) },
			"mkdir d/new; echo 1 > d/new/a; echo 2 > d/new/b", "d d/new", syscall.EPERM},
		{"the mode of an immutable directory", nil, func(w *world) func() { return immutable(w.t, inB(w, "d")) }, "chmod 700 d", "d", syscall.EPERM},
		{"no inodes", func(w *world) {
			must(w.t, unix.Mount("t", w.copy("B"), "tmpfs", 0, "nr_inodes=32"))
			w.t.Cleanup(func() { _ = unix.Unmount(w.copy("B"), unix.MNT_DETACH) })
			must(w.t, os.WriteFile(inB(w, change.Marker), []byte(testMarker), 0o644))
		}, exhausted, "echo 22 > d/f", "d/f", syscall.ENOSPC},
	} {
		bothWays(t, c.name, func(t *testing.T, kind string) {
			w := newWorld(t, kind).three()
			if c.begin == nil {
				c.begin = func(w *world) { disk(w.t, w.copy("B")) }
			}
			c.begin(w)
			w.run()
			w.sh("mkdir d; echo 1 > d/f; echo 1 > gone; echo 1 > kept")
			w.settle()
			w.restored("r", "B", "C")
			free := c.cause(w)
			failures := w.status("B").Failures
			w.sh(c.done)
			paths := strings.Fields(c.paths) // with a directory whose time is another, too
			for _, path := range paths {
				if l := w.lacked("B", path, OfReplica); l.Errno != c.errno || !strings.Contains(l.Cause, w.copy("B")) || len(w.status("B").Lacks) != len(paths) {
					t.Errorf("%+v", w.status("B").Lacks)
				}
			}
			if b := w.mirror.Status().Behind; b == nil || b.Name != "B" || b.Path != paths[0] {
				t.Errorf("behind: %+v", b)
			}
			w.othersGoOn("B", c.errno != syscall.ENOSPC)
			if s := w.status("B"); s.Failures != failures || s.State != Complete {
				t.Errorf("B began anew: %+v", s)
			}
			free()
			w.restored("B")
			w.settle()
			if out, err := exec.Command("diff", "-r", w.share, w.copy("B")).CombinedOutput(); err != nil {
				t.Errorf("B differs: %s", out)
			}
		})
	}
}

// bothWays runs a test by a stream, and by the paper's way to a DRS1, as far as that is one of this machine.
func bothWays(t *testing.T, name string, play func(t *testing.T, kind string)) {
	for _, kind := range []string{"stream", "directory"} {
		t.Run(name+" by "+kind, func(t *testing.T) { play(t, kind) })
	}
}

// othersGoOn makes other changes, which are answered at once and reach also the replica that lacks a path. What is deleted makes room.
func (w *world) othersGoOn(name string, room bool) {
	w.t.Helper()
	began := time.Now()
	if err := w.settles("kept", "22"); err != nil || time.Since(began) > 2*time.Second {
		w.t.Errorf("another change: %v after %s", err, time.Since(began))
	}
	must(w.t, os.Remove(w.path("gone")))
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	must(w.t, w.mirror.Settle(ctx, []string{"gone"}, 0))
	eventually(w.t, func() error {
		if _, err := os.Lstat(filepath.Join(w.copy(name), "gone")); err == nil {
			return errors.New("the delete is not done")
		}
		if text, err := os.ReadFile(filepath.Join(w.copy(name), "kept")); room && string(text) != "22" {
			return fmt.Errorf("%q, %v", text, err)
		}
		return nil
	})
}

// exhausted uses all inodes of B.
func exhausted(w *world) (free func()) {
	dir := filepath.Join(w.copy("B"), change.TemporaryPrefix+"full")
	must(w.t, os.Mkdir(dir, 0o755))
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o644); errors.Is(err, unix.ENOSPC) {
			break
		} else {
			must(w.t, err)
		}
	}
	return func() { must(w.t, os.RemoveAll(dir)) }
}

// A user's own mount is closed to root. Nobody can have what is in it, and nobody is at fault.
func TestAUsersMountThatRootCannotReadCostsItself(t *testing.T) {
	bothWays(t, "mount", unreadableMount)
}

func unreadableMount(t *testing.T, kind string) {
	w := newWorld(t, kind).three()
	w.sh("mkdir -p home/u/m; chown -R nobody home")
	w.run()
	unmount := w.usersMount(w.path("home/u/m"))
	if _, err := os.ReadDir(w.path("home/u/m")); !errors.Is(err, unix.EACCES) {
		t.Skip("root can read it: ", err)
	}
	must(t, w.settles("home/u/beside", "x"))
	w.mirror.Report(change.Change{Kind: change.Rescan, Path: "home"})
	for _, name := range []string{"r", "B", "C"} {
		if l := w.lacked(name, "home/u/m", OfShare); l.Errno != unix.EBUSY || len(w.status(name).Lacks) != 1 {
			t.Errorf("%+v", l)
		}
	}
	must(t, w.settles("other", "x"))
	if b := w.mirror.Status().Behind; b != nil {
		t.Errorf("behind: %+v", b)
	}
	unmount()
	w.restored("r", "B", "C")
	must(t, w.settles("home/u/m/x", "x"))
	w.settle()
}

// usersMount is an sshfs that nobody runs, on a mount of that user.
func (w *world) usersMount(path string) (unmount func()) {
	t := w.t
	t.Helper()
	for dir := path; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		e, err := os.Stat(dir)
		must(t, err)
		must(t, os.Chmod(dir, e.Mode()|0o055))
	}
	source := filepath.Join(filepath.Dir(w.share), "users")
	must(t, os.Mkdir(source, 0o755))
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs FUSE: ", err)
	}
	defer fuse.Close()
	if err := unix.Mount("x", path, "fuse.sshfs", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=65534,group_id=65534", fuse.Fd())); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	unmount = func() { _ = unix.Unmount(path, unix.MNT_DETACH) }
	t.Cleanup(unmount)
	here, there := pipe(t), pipe(t)
	server := exec.Command("/usr/lib/openssh/sftp-server")
	server.Stdin, server.Stdout = there.r, here.w
	mount := exec.Command("runuser", "-u", "nobody", "--", "sshfs", "-f", "-o", "passive", "x:"+source, "/dev/fd/3")
	mount.Stdin, mount.Stdout, mount.Dir, mount.ExtraFiles = here.r, there.w, "/", []*os.File{fuse}
	for _, cmd := range []*exec.Cmd{server, mount} {
		if err := cmd.Start(); err != nil {
			t.Skip("needs sshfs, runuser and an sftp-server: ", err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	for _, end := range []*os.File{here.r, here.w, there.r, there.w} {
		end.Close()
	}
	eventually(t, func() error {
		return exec.Command("runuser", "-u", "nobody", "--", "ls", path).Run()
	})
	return unmount
}

type ends struct{ r, w *os.File }

func pipe(t *testing.T) ends {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	return ends{r, w}
}

// A disk of the file sharing server that fails at one file costs that file.
func TestAFileOfTheShareThatCannotBeReadCostsItself(t *testing.T) {
	bothWays(t, "disk", unreadableFile)
}

func unreadableFile(t *testing.T, kind string) {
	w := newWorld(t, kind)
	d := disk(t, w.share)
	root, err := tree.Open(w.share)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	w.root = root
	w.three()
	w.run()
	w.sh("mkdir d; head -c 300000 /dev/urandom > d/bad; sync -f .")
	w.settle()
	free := d.fails(w.path("d/bad"), "d/bad")
	if _, err := os.ReadFile(w.path("d/bad")); !errors.Is(err, unix.EIO) {
		t.Fatal("the disk does not fail: ", err)
	}
	w.sh("touch d/bad")
	for _, name := range []string{"r", "B", "C"} {
		if l := w.lacked(name, "d/bad", OfShare); l.Errno != unix.EIO || len(w.status(name).Lacks) != 1 {
			t.Errorf("%+v", w.status(name).Lacks)
		}
	}
	must(t, w.settles("d/beside", "x"))
	if b := w.mirror.Status().Behind; b != nil {
		t.Errorf("behind: %+v", b)
	}
	if e, err := os.Stat(filepath.Join(w.replica, "d/bad")); err != nil || e.Size() != 300_000 {
		t.Error("the replica does not keep what it has: ", err)
	}
	free()
	w.restored("r", "B", "C")
	w.settle()
}

// A replica whose disk fails at one file gets that file anew, also if it was being changed where it is: that ends a session, and the next one removes what is
// neither old nor new.
func TestAFileOfAReplicaThatCannotBeReadIsWrittenAnew(t *testing.T) {
	w := three(t)
	d := disk(t, w.copy("B"))
	w.run()
	ballast := filepath.Join(w.copy("B"), change.TemporaryPrefix+"ballast") // so that the file is at the disk's end, and there is room before it
	tool(t, "fallocate", "-l", "54M", ballast)
	w.sh("head -c 3000000 /dev/urandom > ../bad; mkdir d; mv ../bad d") // all of it at once: there is no room for a part of it too
	w.settle()
	_ = exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(w.copy("B"), change.TemporaryPrefix+"behind"), "bs=64k", "status=none").Run() // until it is full
	must(t, os.Remove(ballast))
	failures := w.status("B").Failures
	d.fails(filepath.Join(w.copy("B"), "d/bad"), "d/bad")
	w.sh("printf changed | dd of=d/bad bs=1 seek=1500000 conv=notrunc status=none")
	must(t, w.settles("other", "x"))
	eventually(t, func() error { _, err := os.Stat(filepath.Join(w.copy("B"), "other")); return err })
	w.restored("B")
	w.settle()
	if out, err := exec.Command("cmp", w.path("d/bad"), filepath.Join(w.copy("B"), "d/bad")).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	if s := w.status("B"); s.Failures > failures+2 {
		t.Errorf("B began anew: %+v", s)
	}
}

// sshfs says EIO where a file does not get its room, as it does where a connection broke.
func TestAFileWithoutRoomBehindSSHFSCostsItself(t *testing.T) {
	w := newWorld(t, "sshfs")
	if err := unix.Mount("t", w.replica, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.replica, unix.MNT_DETACH) })
	must(t, os.WriteFile(filepath.Join(w.replica, change.Marker), []byte(testMarker), 0o644))
	w.run()
	w.sh("echo x > fits; head -c 3000000 /dev/urandom > large")
	w.lacked("r", "large", OfReplica)
	must(t, w.settles("other", "x"))
	if s := w.status("r"); s.Failures > 0 {
		t.Errorf("it began anew: %+v", s)
	}
	w.sh("rm large")
	w.restored("r")
	w.settle()
}

// A file system without attributes gets the files without them, as docs/fidelity.md says.
func TestAReplicaThatTakesNoAttributesLacksNothing(t *testing.T) {
	w := three(t)
	w.mount(w.copy("B"), "ramfs")
	must(t, os.WriteFile(filepath.Join(w.copy("B"), change.Marker), []byte(testMarker), 0o644))
	if err := unix.Setxattr(filepath.Join(w.copy("B"), change.Marker), "user.a", []byte("b"), 0); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this kernel's ramfs takes attributes: ", err)
	}
	w.run()
	w.sh("echo 1 > f; echo 1 > acl; mkdir d")
	must(t, unix.Setxattr(w.path("f"), "user.a", []byte("b"), 0))
	tool(t, "setfacl", "-m", "u:1:r", w.path("acl"), w.path("d"))
	must(t, w.settles("f", "22"))
	must(t, w.settles("acl", "22"))
	must(t, w.settles("d/x", "22"))
	w.restored("B")
	for _, path := range []string{"f", "acl", "d/x"} {
		eventually(t, func() error {
			if text, err := os.ReadFile(filepath.Join(w.copy("B"), path)); string(text) != "22" {
				return fmt.Errorf("%q, %v", text, err)
			}
			return nil
		})
	}
	if s := w.status("B"); s.Failures > 0 || w.mirror.Status().Behind != nil {
		t.Errorf("%+v", s)
	}
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
		bothWays(t, name, func(t *testing.T, kind string) {
			if kind == "stream" || c.parts == (Parts{}) {
				lacksThousands(t, kind, c.dir, c.parts)
			}
		})
	}
}

func lacksThousands(t *testing.T, kind, dir string, parts Parts) {
	w := newWorld(t, kind).three()
	w.parts = parts
	w.more["B"] = w.to(w.copy("B"))
	w.sh("mkdir -p in/d; cd " + dir + "; for i in $(seq 1500); do echo 1 > $i; done")
	disk(t, w.copy("B"))
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
