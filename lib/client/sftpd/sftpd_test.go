package sftpd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	packet "hafs/lib/client/sftp"
)

func owner(info os.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d %d links, %d", st.Uid, st.Gid, st.Nlink, st.Mtim.Sec)
}

func TestFilesAndNames(t *testing.T) {
	w := start(t)
	f, err := w.client.OpenFile(w.path("f"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	must(t, err)
	large := make([]byte, 300<<10)
	for i := range large {
		large[i] = byte(i * 7)
	}
	_, err = f.Write(large)
	must(t, err)
	got := make([]byte, len(large))
	if n, err := f.ReadAt(got, 0); n != len(large) || string(got) != string(large) {
		t.Error("read", n, err)
	}
	must(t, errors.Join(f.Sync(), f.Truncate(3), f.Chmod(0o640), f.Close()))
	if _, err := w.client.OpenFile(w.path("f"), os.O_RDWR|os.O_CREATE|os.O_EXCL); err == nil {
		t.Error("made anew what is there")
	}
	must(t, w.client.Mkdir(w.path("d")))
	must(t, w.client.Rename(w.path("f"), w.path("d/g")))
	must(t, w.client.Link(w.path("d/g"), w.path("h")))
	if err := w.client.Rename(w.path("h"), w.path("d/g")); err == nil {
		t.Error("a plain rename took the place of a file")
	}
	must(t, w.client.PosixRename(w.path("h"), w.path("d/i")))
	must(t, w.client.Symlink("/nowhere", w.path("l")))
	if to, err := w.client.ReadLink(w.path("l")); to != "/nowhere" || err != nil {
		t.Error(to, err)
	}
	if wd, err := w.client.Getwd(); wd != w.share || err != nil {
		t.Error(wd, err)
	}
	if err := w.client.RemoveDirectory(w.path("d")); err == nil {
		t.Error("removed a directory with files")
	}
	if _, err := w.client.Lstat(w.path("none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	room, err := w.client.StatVFS(w.share)
	var st unix.Statfs_t
	must(t, errors.Join(err, unix.Statfs(w.share, &st)))
	if room.Blocks != st.Blocks || room.Bsize != uint64(st.Bsize) || room.Namemax != uint64(st.Namelen) {
		t.Errorf("%+v, %+v", room, st)
	}
	must(t, errors.Join(w.client.Remove(w.path("d/g")), w.client.Remove(w.path("d/i")), w.client.Remove(w.path("l")), w.client.RemoveDirectory(w.path("d"))))
}

func TestLongListing(t *testing.T) {
	w := start(t)
	want := []string{}
	for i := range 350 {
		want = append(want, fmt.Sprintf("f%03d", i))
		must(t, os.WriteFile(w.path(want[i]), make([]byte, i), 0o600))
	}
	infos, err := w.client.ReadDir(w.share)
	must(t, err)
	got := []string{}
	for _, info := range infos {
		got = append(got, info.Name())
		var i int
		if _, err := fmt.Sscanf(info.Name(), "f%d", &i); err != nil || info.Size() != int64(i) || info.Mode() != 0o600 {
			t.Error(info.Name(), info.Size(), info.Mode())
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d names", len(got))
	}
}

// A3: the umask that counts is the client's, and a default ACL and a setgid directory work as on a local file system.
func TestModesAreAsAskedFor(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022))
	w := start(t)
	permissions := func(mode uint32) packet.Attributes {
		return packet.Attributes{Flags: packet.AttrPermissions, Permissions: mode}
	}
	must(t, os.Mkdir(w.path("team"), 0o755))
	must(t, unix.Chmod(w.path("team"), 0o2775))
	for name, c := range map[string]struct {
		answer packet.Packet
		want   uint32
	}{
		"file":      {w.ask(packet.Open, w.path("file"), uint32(packet.FlagWrite|packet.FlagCreate), permissions(0o664)), 0o664},
		"all":       {w.ask(packet.Open, w.path("all"), uint32(packet.FlagWrite|packet.FlagCreate|packet.FlagExclusive), permissions(0o666)), 0o666},
		"unsaid":    {w.ask(packet.Open, w.path("unsaid"), uint32(packet.FlagWrite|packet.FlagCreate), packet.Attributes{}), 0o644},
		"directory": {w.ask(packet.Mkdir, w.path("directory"), permissions(0o775)), 0o775},
		"private":   {w.ask(packet.Mkdir, w.path("private"), permissions(0o700)), 0o700},
		"team/d":    {w.ask(packet.Mkdir, w.path("team/d"), permissions(0o775)), 0o2775},
	} {
		var st unix.Stat_t
		if err := unix.Stat(w.path(name), &st); err != nil || st.Mode&0o7777 != c.want {
			t.Errorf("%s: %o, %v, want %o (answer %d)", name, st.Mode&0o7777, err, c.want, c.answer.Kind())
		}
	}
	if now := unix.Umask(0o022); now != 0o022 {
		t.Errorf("the process's umask is %o", now)
	}
}

// A2: what tar x, rsync -a and cp -a do to links.
func TestAttributesOfALinkAreItsOwn(t *testing.T) {
	w := start(t)
	target := filepath.Join(w.outside, "shadow")
	before := state(t, w.outside)
	for name, to := range map[string]string{"absolute": target, "dangling": "/nowhere", "inside": "f"} {
		must(t, os.WriteFile(w.path("f"), nil, 0o600))
		must(t, os.Symlink(to, w.path(name)))
		for _, request := range []packet.Packet{
			w.ask(packet.Setstat, w.path(name), packet.Attributes{Flags: packet.AttrTimes, Atime: 1, Mtime: 978307200}),
			w.ask(packet.Setstat, w.path(name), packet.Attributes{Flags: packet.AttrPermissions, Permissions: 0o777}),
			w.ask(packet.Extended, "lsetstat@openssh.com", w.path(name), packet.Attributes{Flags: packet.AttrTimes, Atime: 1, Mtime: 978307200}),
		} {
			if request.StatusCode() != packet.OK {
				t.Errorf("%s: %q", name, request)
			}
		}
		if os.Getuid() == 0 {
			if p := w.ask(packet.Setstat, w.path(name), packet.Attributes{Flags: packet.AttrOwner, UID: 1234, GID: 5}); p.StatusCode() != packet.OK {
				t.Errorf("%s: %q", name, p)
			}
		}
		info, err := os.Lstat(w.path(name))
		must(t, err)
		if !info.ModTime().Equal(time.Unix(978307200, 0)) {
			t.Errorf("%s: %s", name, info.ModTime())
		}
		if st := info.Sys().(*syscall.Stat_t); os.Getuid() == 0 && st.Uid != 1234 {
			t.Errorf("%s belongs to %d", name, st.Uid)
		}
		if p := w.ask(packet.Setstat, w.path(name), packet.Attributes{Flags: packet.AttrSize}); p.StatusCode() == packet.OK {
			t.Errorf("%s was emptied through the link", name)
		}
	}
	if info, err := os.Stat(w.path("f")); err != nil || info.Mode() != 0o600 || info.ModTime().Year() == 2001 {
		t.Error("where a link leads inside:", info.Mode(), info.ModTime(), err)
	}
	if after := state(t, w.outside); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

func TestOneClientHasSoManyHandles(t *testing.T) {
	w := start(t)
	must(t, os.WriteFile(w.path("f"), nil, 0o600))
	var last packet.Packet
	for range handlesAtMost {
		if last = w.ask(packet.Open, w.path("f"), uint32(packet.FlagRead), packet.Attributes{}); last.Kind() != packet.Handle {
			t.Skipf("this process may not have so many: %q", last)
		}
	}
	if p := w.ask(packet.Opendir, w.share); p.StatusCode() != packet.Failure {
		t.Errorf("one more: %q", p)
	}
	handle, _, err := packet.CutString(last.Body())
	must(t, err)
	if p := w.ask(packet.Close, handle); p.StatusCode() != packet.OK {
		t.Errorf("%q", p)
	}
	if p := w.ask(packet.Opendir, w.share); p.Kind() != packet.Handle {
		t.Errorf("after one was closed: %q", p)
	}
}

// df shows what copies can take, if that is less than there is room for here.
func TestNoMoreIsAvailableThanMayBeWritten(t *testing.T) {
	w := start(t)
	here, err := w.client.StatVFS(w.share)
	must(t, err)
	w.left = 5 << 20
	bounded, err := w.client.StatVFS(w.share)
	must(t, err)
	if got := bounded.Bavail * bounded.Frsize; got != w.left || bounded.Blocks != here.Blocks {
		t.Errorf("%d bytes of %d blocks", got, bounded.Blocks)
	}
	w.left = 1 << 62
	if unbounded, err := w.client.StatVFS(w.share); err != nil || unbounded.Bavail > unbounded.Bfree {
		t.Errorf("%+v %v", unbounded, err)
	}
}

func TestAFileThatGrowsByAppending(t *testing.T) {
	w := start(t)
	must(t, os.WriteFile(w.path("log"), []byte("a"), 0o600))
	handle, _, err := packet.CutString(w.ask(packet.Open, w.path("log"), uint32(packet.FlagWrite|packet.FlagAppend), packet.Attributes{}).Body())
	must(t, err)
	if p := w.ask(packet.Write, handle, uint64(0), "b"); p.StatusCode() != packet.OK {
		t.Errorf("%q", p)
	}
	f, err := w.client.Open(w.path("log"))
	must(t, err)
	if text, err := io.ReadAll(f); string(text) != "ab" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
