package sftpd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	packet "hafs/lib/client/sftp"
)

// ways are names of things outside the share, by every way that a hostile client can think of.
func (w *world) ways() map[string]string {
	up, _ := filepath.Rel(w.share, w.outside)
	must(w.t, os.Symlink(w.outside, w.path("planted")))
	must(w.t, os.Symlink(up, w.path("relative")))
	must(w.t, os.Mkdir(w.path("d"), 0o755))
	must(w.t, os.Symlink("../planted", w.path("d/twice")))
	return map[string]string{
		"absolute": w.outside, "up": w.path(up), "up from within": w.path("d/../" + up), "relative up": up, "dots": "/." + w.outside, "slashes": "//" + w.outside,
		"planted": w.path("planted"), "planted relative": w.path("relative"), "by two links": w.path("d/twice"), "over a link": w.path("planted/../" + filepath.Base(w.outside)),
		"processes": "/proc/self/root" + w.outside, "like the share": w.share + "/.." + w.outside, "beside the share": w.share + "x/../.." + w.outside,
	}
}

func TestNothingOutsideIsReached(t *testing.T) {
	w := start(t)
	full := packet.Attributes{
		Flags: packet.AttrSize | packet.AttrOwner | packet.AttrPermissions | packet.AttrTimes, UID: 1234, GID: 1234, Permissions: 0o777, Mtime: 1,
	}
	must(t, os.WriteFile(w.path("mine"), []byte("mine"), 0o644))
	before := state(t, w.outside)
	for how, way := range w.ways() {
		secret, fresh := way+"/shadow", way+"/new"
		for what, p := range map[string]packet.Packet{
			"read":            w.ask(packet.Open, secret, uint32(packet.FlagRead), packet.Attributes{}),
			"write":           w.ask(packet.Open, secret, uint32(packet.FlagWrite|packet.FlagTruncate), packet.Attributes{}),
			"make":            w.ask(packet.Open, fresh, uint32(packet.FlagWrite|packet.FlagCreate), packet.Attributes{}),
			"make alone":      w.ask(packet.Open, fresh, uint32(packet.FlagWrite|packet.FlagCreate|packet.FlagExclusive), packet.Attributes{}),
			"list":            w.ask(packet.Opendir, way),
			"lstat":           w.ask(packet.Lstat, secret),
			"stat":            w.ask(packet.Stat, secret),
			"attributes":      w.ask(packet.Setstat, secret, full),
			"of a link":       w.ask(packet.Extended, "lsetstat@openssh.com", secret, full),
			"remove":          w.ask(packet.Remove, secret),
			"rmdir":           w.ask(packet.Rmdir, way),
			"mkdir":           w.ask(packet.Mkdir, fresh, packet.Attributes{}),
			"rename out":      w.ask(packet.Rename, w.path("mine"), fresh),
			"rename in":       w.ask(packet.Rename, secret, w.path("theirs")),
			"rename over":     w.ask(packet.Extended, "posix-rename@openssh.com", w.path("mine"), secret),
			"fetch":           w.ask(packet.Extended, "posix-rename@openssh.com", secret, w.path("theirs")),
			"hard link in":    w.ask(packet.Extended, "hardlink@openssh.com", secret, w.path("theirs")),
			"hard link out":   w.ask(packet.Extended, "hardlink@openssh.com", w.path("mine"), fresh),
			"link":            w.ask(packet.Symlink, "mine", fresh),
			"where to":        w.ask(packet.Readlink, secret),
			"room":            w.ask(packet.Extended, "statvfs@openssh.com", secret),
			"another program": w.ask(packet.Extended, "copy-data", secret),
		} {
			code := p.StatusCode()
			if p.Kind() != packet.Status || code == packet.OK {
				t.Errorf("%s, %s: %q", how, what, p)
			}
			if strings.Contains(string(p), "secret") {
				t.Errorf("%s, %s: %q", how, what, p)
			}
		}
	}
	if after := state(t, w.outside); after != before {
		t.Errorf("outside:\n%sbecame\n%s", before, after)
	}
	if text, err := os.ReadFile(w.path("mine")); string(text) != "mine" || err != nil {
		t.Error(string(text), err)
	}
}

// A name that is a link when it is opened must not be followed either, whatever it was a moment ago.
func TestNothingOutsideIsReachedInARace(t *testing.T) {
	w := start(t)
	before := state(t, w.outside)
	must(t, os.Mkdir(w.path("real"), 0o755))
	must(t, os.WriteFile(w.path("real/shadow"), []byte("share"), 0o644))
	up, _ := filepath.Rel(w.share, w.outside) // an absolute one might be stopped at a mount alone
	must(t, os.Symlink(up, w.path("link")))
	must(t, os.Rename(w.path("real"), w.path("y")))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, w.path("y"), unix.AT_FDCWD, w.path("link"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	reached := 0
	for range 2000 {
		for _, name := range []string{"y/shadow", "link/shadow"} {
			p := w.ask(packet.Open, w.path(name), uint32(packet.FlagWrite|packet.FlagTruncate|packet.FlagCreate), packet.Attributes{})
			if handle, _, err := packet.CutString(p.Body()); p.Kind() == packet.Handle && err == nil {
				reached++
				w.ask(packet.Close, handle)
			}
			w.ask(packet.Setstat, w.path(name), packet.Attributes{Flags: packet.AttrPermissions, Permissions: 0o777})
		}
	}
	close(stop)
	<-done
	if after := state(t, w.outside); after != before || reached == 0 {
		t.Errorf("outside:\n%sbecame\n%s(%d times reached inside)", before, after, reached)
	}
}

// Handles of a session are nothing in another, and none can be guessed.
func TestHandlesAreOfOneSession(t *testing.T) {
	w := start(t)
	must(t, os.WriteFile(w.path("f"), []byte("others' text"), 0o644))
	theirs, err := w.client.OpenFile(w.path("f"), os.O_RDWR)
	must(t, err)
	for _, guess := range []string{"\x00\x00\x00\x01", "\x00\x00\x00\x00", "", "1", strings.Repeat("\xff", 300)} {
		for what, p := range map[string]packet.Packet{
			"read": w.ask(packet.Read, guess, uint64(0), uint32(100)), "write": w.ask(packet.Write, guess, uint64(0), "x"), "close": w.ask(packet.Close, guess),
			"stat": w.ask(packet.Fstat, guess), "chmod": w.ask(packet.Fsetstat, guess, packet.Attributes{}), "list": w.ask(packet.Readdir, guess),
			"sync": w.ask(packet.Extended, "fsync@openssh.com", guess), "room": w.ask(packet.Extended, "fstatvfs@openssh.com", guess),
		} {
			if p.StatusCode() != packet.NoSuchFile {
				t.Errorf("%s of %q: %q", what, guess, p)
			}
		}
	}
	if _, err := theirs.WriteAt([]byte("O"), 0); err != nil {
		t.Error("another session's handle was closed:", err)
	}
}

func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	w := start(t)
	must(t, unix.Mkfifo(w.path("fifo"), 0o644))
	names := []string{"fifo"}
	if unix.Mknod(w.path("device"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) == nil {
		names = append(names, "device")
	}
	for _, name := range names {
		for _, flags := range []uint32{packet.FlagRead, packet.FlagWrite, packet.FlagWrite | packet.FlagCreate} {
			if p := w.ask(packet.Open, w.path(name), flags, packet.Attributes{}); p.StatusCode() != packet.Failure {
				t.Errorf("%s: %q", name, p)
			}
		}
		if p := w.ask(packet.Lstat, w.path(name)); p.Kind() != packet.Attrs {
			t.Errorf("%s: %q", name, p)
		}
	}
}

func TestMountsAreNotCrossed(t *testing.T) {
	w := start(t)
	must(t, os.Mkdir(w.path("mount"), 0o755))
	if err := unix.Mount(w.outside, w.path("mount"), "", unix.MS_BIND, ""); err != nil {
		t.Skip("needs to mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.path("mount"), unix.MNT_DETACH) })
	for what, p := range map[string]packet.Packet{
		"lstat": w.ask(packet.Lstat, w.path("mount")), "read": w.ask(packet.Open, w.path("mount/shadow"), uint32(packet.FlagRead), packet.Attributes{}),
		"list": w.ask(packet.Opendir, w.path("mount")), "make": w.ask(packet.Mkdir, w.path("mount/d"), packet.Attributes{}),
		"attributes": w.ask(packet.Setstat, w.path("mount"), packet.Attributes{}), "room": w.ask(packet.Extended, "statvfs@openssh.com", w.path("mount")),
	} {
		if p.StatusCode() != packet.PermissionDenied {
			t.Errorf("%s: %q", what, p)
		}
	}
	infos, err := w.client.ReadDir(w.share)
	if err != nil || len(infos) != 1 || infos[0].Name() != "mount" || infos[0].Mode().Perm() != 0 {
		t.Error(infos, err)
	}
}

func TestRequestsThatAreNoneEndNothing(t *testing.T) {
	w := start(t)
	for kind := range 256 {
		for _, body := range []string{"", "\x00", "\xff\xff\xff\xff", "\x00\x00\x00\x01", "\x00\x00\x00\x01x\xff\xff\xff\xff\xff\xff\xff\xff"} {
			w.requests++
			must(t, packet.WritePacket(w.raw, packet.NewPacket(byte(kind), w.requests, []byte(body))))
			p, err := packet.ReadPacket(w.raw)
			if err != nil || p.ID() != w.requests {
				t.Fatalf("%d %q: %v %v", kind, body, p, err)
			}
		}
	}
	if p := w.ask(packet.Lstat, w.share); p.Kind() != packet.Attrs {
		t.Errorf("%q", p)
	}
	if all := state(t, w.share); strings.Count(all, "\n") > 2 {
		t.Error(fmt.Sprint("something was made: ", all))
	}
}
