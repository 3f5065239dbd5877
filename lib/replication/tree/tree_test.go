package tree

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *Root {
	t.Helper()
	r, err := Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func (r *Root) entry(t *testing.T, path string) *change.Entry {
	t.Helper()
	e, err := r.Lstat(path)
	must(t, err)
	if e == nil {
		t.Fatal("nothing at ", path)
	}
	return e
}

// needXattrs skips where attributes cannot be had.
func needXattrs(t *testing.T, r *Root) {
	t.Helper()
	f := filepath.Join(r.Name, "probe")
	must(t, os.WriteFile(f, nil, 0o644))
	defer os.Remove(f)
	for _, name := range []string{"user.x", "trusted.x"} {
		if err := unix.Setxattr(f, name, nil, 0); err != nil {
			t.Skipf("%s takes no %s: %v", r.Name, name, err)
		}
	}
}

func write(t *testing.T, r *Root, name string, e *change.Entry) error {
	t.Helper()
	d, err := r.Dir(".")
	must(t, err)
	defer d.Close()
	temporary, err := d.WriteTemporary(e.Mode, false, func(*os.File) (*change.Entry, error) { return e, nil })
	if err != nil {
		return err
	}
	return d.Publish(temporary, name, false)
}

var owner = change.Entry{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}

func like(kind change.FileKind, mode uint32, values map[string]string) *change.Entry {
	e := owner
	e.Kind, e.Mode, e.Mtime, e.Xattrs = kind, mode, 1e18+7, change.XattrsOf(values)
	return &e
}

// A file, a directory and a link get exactly the attributes they are to have, and lose the others.
func TestAttributesAreSetAndRemoved(t *testing.T) {
	r := open(t)
	needXattrs(t, r)
	must(t, write(t, r, "f", like(change.File, 0o640, map[string]string{"user.a": "1", "user.b": strings.Repeat("x", 1000)})))
	must(t, os.Mkdir(filepath.Join(r.Name, "d"), 0o755))
	must(t, os.Symlink("nowhere", filepath.Join(r.Name, "l")))
	d, err := r.Dir(".")
	must(t, err)
	defer d.Close()
	for name, kind := range map[string]change.FileKind{"f": change.File, "d": change.Directory, "l": change.Symlink} {
		for _, values := range []map[string]string{{"trusted.a": "one", "trusted.c": ""}, {"trusted.a": "two"}, {}} {
			want := like(kind, 0o755, values)
			if kind == change.Symlink {
				want.Mode = 0o777
			}
			must(t, d.SetAttributes(name, want, nil, false))
			if got := r.entry(t, name); got.Xattrs != want.Xattrs || got.Mode != want.Mode || got.Mtime != want.Mtime {
				t.Errorf("%s has %+v, not %+v", name, got, want)
			}
		}
	}
}

// What is too much is not known; what is not known is left alone.
func TestUnknownAttributesAreLeftAlone(t *testing.T) {
	r := open(t)
	needXattrs(t, r)
	must(t, write(t, r, "f", like(change.File, 0o640, map[string]string{"user.a": "1"})))
	d, err := r.Dir(".")
	must(t, err)
	defer d.Close()
	unknown := like(change.File, 0o600, nil)
	unknown.Xattrs = change.UnknownXattrs
	must(t, d.SetAttributes("f", unknown, nil, false))
	if e := r.entry(t, "f"); e.Mode != 0o600 || e.Xattrs.Values()["user.a"] != "1" {
		t.Errorf("got %+v", e)
	}
}

// A new owner takes capabilities away, and an ACL shares its bits with the mode: what is set in the wrong order is lost.
func TestAttributesSurviveEachOther(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: owners and capabilities are set")
	}
	r := open(t)
	needXattrs(t, r)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	acl := "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\x0c\x00\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	want := like(change.File, 0o6670, map[string]string{"security.capability": capability, "system.posix_acl_access": acl})
	want.UID, want.GID = 12, 34
	must(t, write(t, r, "f", want))
	if got := r.entry(t, "f"); got.Mode != want.Mode || got.UID != 12 || got.Xattrs != want.Xattrs {
		t.Errorf("new: %o %q, not %o %q", got.Mode, got.Xattrs, want.Mode, want.Xattrs)
	}
	d, err := r.Dir(".")
	must(t, err)
	defer d.Close()
	want.UID = 13
	must(t, d.SetAttributes("f", want, nil, false))
	if got := r.entry(t, "f"); got.Mode != want.Mode || got.UID != 13 || got.Xattrs != want.Xattrs {
		t.Errorf("another owner: %o %q, not %o %q", got.Mode, got.Xattrs, want.Mode, want.Xattrs)
	}
	want.Mode, want.Xattrs = 0o604, ""
	must(t, d.SetAttributes("f", want, nil, false))
	if got := r.entry(t, "f"); got.Mode != want.Mode || got.Xattrs != "" {
		t.Errorf("without ACL: %o %q", got.Mode, got.Xattrs)
	}
	// What a directory gives to what is made in it is not part of what is copied.
	must(t, unix.Setxattr(r.Name, "system.posix_acl_default", []byte(acl), 0))
	must(t, write(t, r, "g", want))
	if got := r.entry(t, "g"); got.Mode != want.Mode || got.Xattrs != "" {
		t.Errorf("inherited: %o %q", got.Mode, got.Xattrs)
	}
}

// An attribute that the file system does not take is told, and the file is made; other errors stay errors, and so does that one when nobody is told.
func TestAttributesThatAreNotTaken(t *testing.T) {
	for _, c := range []struct {
		err  unix.Errno
		told bool
	}{{unix.EOPNOTSUPP, true}, {unix.E2BIG, true}, {unix.ENOSPC, true}, {unix.EIO, false}, {unix.EDQUOT, false}, {unix.EPERM, false}} {
		r := open(t)
		needXattrs(t, r)
		var told []string
		r.Before = func(step string) error {
			if step == "set attribute" {
				return c.err
			}
			return nil
		}
		e := like(change.File, 0o640, map[string]string{"user.a": "1", "user.b": "1"})
		if err := write(t, r, "f", e); !errors.Is(err, c.err) || !strings.Contains(err.Error(), "user.a") {
			t.Errorf("%v: nobody is told, and yet: %v", c.err, err)
		}
		r.Refused = func(name string, _ error) { told = append(told, name) }
		err := write(t, r, "f", e)
		if c.told && (err != nil || len(told) != 2) || !c.told && (!errors.Is(err, c.err) || len(told) > 0) {
			t.Errorf("%v: %v, told %v", c.err, err, told)
		}
	}
}

// trusted.* may be set by few: whoever may not makes the file without it.
func TestAttributesThatMayNotBeSet(t *testing.T) {
	r := open(t)
	r.Before = func(step string) error {
		if step == "set attribute" {
			return unix.EPERM
		}
		return nil
	}
	told := ""
	r.Refused = func(name string, _ error) { told += name }
	if err := write(t, r, "f", like(change.File, 0o640, map[string]string{"trusted.a": "1"})); err != nil || told != "trusted.a" {
		t.Errorf("told %q: %v", told, err)
	}
}

// blocks is how much of a file is stored.
func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	return st.Blocks * 512
}

func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// Whatever is written where, with holes or without, is what is read, in a slow twin's memory as in the file; and Read and Copy find the same.
func TestHolesAgainstMemory(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		f := newFile(t)
		var twin []byte
		put := func(b []byte, offset int) {
			if n := offset + len(b); n > len(twin) {
				twin = append(twin, make([]byte, n-len(twin))...)
			}
			copy(twin[offset:], b)
		}
		for range 20 {
			offset, n := rnd.IntN(20*HoleBytes), rnd.IntN(6*HoleBytes)
			if rnd.IntN(2) == 0 {
				offset = offset / HoleBytes * HoleBytes
			}
			if rnd.IntN(3) == 0 {
				must(t, Hole(f, int64(offset), int64(n)))
				put(make([]byte, n), offset)
				continue
			}
			b := make([]byte, n)
			for i := 0; i < n; i += 1 + rnd.IntN(3*HoleBytes) {
				b[i] = byte(rnd.IntN(2))
			}
			if rnd.IntN(2) == 0 { // dense, so that one byte too many is seen
				for i := range b {
					b[i] |= 1
				}
			}
			must(t, WriteAt(f, b, int64(offset)))
			put(b, offset)
		}
		same := func(what string, got []byte) {
			t.Helper()
			if !bytes.Equal(got, twin) {
				t.Fatalf("seed %d: %s: %d bytes differ from %d", seed, what, len(got), len(twin))
			}
		}
		plain, err := os.ReadFile(f.Name())
		must(t, err)
		same("file", plain)
		var read []byte
		size, err := Read(f, int64(len(twin))+rnd.Int64N(9000), make([]byte, 5000), func(b []byte) error {
			read = append(read, b...)
			return nil
		}, func(n int64) error {
			read = append(read, make([]byte, n)...)
			return nil
		})
		must(t, err)
		same("read", read)
		if size != int64(len(twin)) {
			t.Errorf("seed %d: %d bytes, not %d", seed, size, len(twin))
		}
		into := newFile(t)
		must(t, Copy(into, f))
		plain, err = os.ReadFile(into.Name())
		must(t, err)
		same("copy", plain)
	}
}

// Read does not go beyond its limit, nor beyond the end.
func TestReadHasALimit(t *testing.T) {
	f := newFile(t)
	must(t, f.Truncate(10*HoleBytes))
	_, err := f.WriteAt([]byte("x"), 3*HoleBytes)
	must(t, err)
	for _, limit := range []int64{0, 1, HoleBytes, 3*HoleBytes + 1, 4 * HoleBytes, 10 * HoleBytes, 11 * HoleBytes} {
		seen := int64(0)
		size, err := Read(f, limit, make([]byte, 100), func(b []byte) error { seen += int64(len(b)); return nil }, func(n int64) error { seen += n; return nil })
		if err != nil || size != min(limit, 10*HoleBytes) || size != seen {
			t.Errorf("limit %d: %d, seen %d, %v", limit, size, seen, err)
		}
	}
}

func TestZerosTakeNoRoom(t *testing.T) {
	f := newFile(t)
	must(t, WriteAt(f, append(make([]byte, 1<<20), 'x'), 0))
	if n := blocks(t, f); n > 4*HoleBytes {
		t.Errorf("%d bytes are stored", n)
	}
	full := bytes.Repeat([]byte("x"), 1<<20)
	must(t, WriteAt(f, full, 0))
	if n := blocks(t, f); n < 1<<20 {
		t.Errorf("%d bytes are stored", n)
	}
	must(t, Hole(f, HoleBytes, 1<<20-2*HoleBytes))
	if n := blocks(t, f); n > 8*HoleBytes {
		t.Errorf("%d bytes are stored behind the new hole", n)
	}
	into := newFile(t)
	must(t, Copy(into, f))
	if n := blocks(t, into); n > 8*HoleBytes {
		t.Errorf("%d bytes are stored of the copy", n)
	}
}
