package tree

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mounted puts something over a path until the test ends.
func mounted(t *testing.T, source, target, kind string, flags uintptr) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

func TestMountsAreNotCrossed(t *testing.T) {
	for name, mount := range map[string]func(t *testing.T, dir string){
		"tmpfs":        func(t *testing.T, dir string) { mounted(t, "t", dir, "tmpfs", 0) },
		"proc":         func(t *testing.T, dir string) { mounted(t, "p", dir, "proc", 0) },
		"same disk":    func(t *testing.T, dir string) { mounted(t, t.TempDir(), dir, "", unix.MS_BIND) },
		"onto itself":  func(t *testing.T, dir string) { mounted(t, dir, dir, "", unix.MS_BIND) },
		"a tree above": func(t *testing.T, dir string) { mounted(t, t.TempDir(), dir, "", unix.MS_BIND|unix.MS_REC) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "a/m"), 0o755); err != nil {
				t.Fatal(err)
			}
			mount(t, filepath.Join(dir, "a/m"))
			r, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if e, err := r.Lstat("a/m"); !errors.Is(err, ErrMount) || !errors.Is(err, unix.EBUSY) {
				t.Errorf("the mount point: %v, %v", e, err)
			}
			for _, path := range []string{"a/m", "a/m/none", "a/m/none/further"} {
				if d, err := r.Dir(path); !errors.Is(err, ErrMount) {
					t.Errorf("%s: %v, %v", path, d, err)
				}
			}
			if e, err := r.Lstat("a"); err != nil || e == nil {
				t.Errorf("beside it: %v, %v", e, err)
			}
			if e, err := r.Lstat("a/none/x"); err != nil || e != nil {
				t.Errorf("nothing: %v, %v", e, err)
			}
		})
	}
}

func TestTheRootMayBeAMount(t *testing.T) {
	dir := t.TempDir()
	mounted(t, "t", dir, "tmpfs", 0)
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := r.Dir(".")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{".", "d"} {
		if e, err := d.Lstat(name); err != nil || e == nil {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

func TestAMountOverAFileIsSeen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mounted(t, path, path, "", unix.MS_BIND)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if e, err := r.Lstat("f"); !errors.Is(err, ErrMount) {
		t.Errorf("%v, %v", e, err)
	}
}

// What one stat says through the directory is what is said of the opened file, or files would seem to have changed.
func TestALookAndAnOpenedFileSayTheSame(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("abc"), 0o640); err != nil {
		t.Fatal(err)
	}
	past := time.Unix(-5, 7)
	if err := os.Chtimes(filepath.Join(dir, "f"), past, past); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	looked, err := r.Lstat("f")
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.OpenFile("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	opened, err := Stat(f)
	if err != nil {
		t.Fatal(err)
	}
	looked.Seen, opened.Seen = 0, 0
	if *looked != *opened {
		t.Errorf("%+v\n%+v", looked, opened)
	}
}

func TestWhatHasTooLongAPathInTheTrashIsRemoved(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := "."
	for d := (*Dir)(nil); len(path) < 4070; {
		if d, err = r.Dir(path); err != nil {
			t.Fatal(err)
		}
		name := strings.Repeat("d", min(250, max(1, 4080-len(path))))
		if err := d.MakeDirectory(name); err != nil {
			t.Fatal(err)
		}
		d.Close()
		path = strings.TrimPrefix(path+"/"+name, "./")
	}
	d, err := r.Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.MakeDirectory("f"); err != nil {
		t.Fatal(err)
	}
	trash := NewTrash(r, "")
	if err := trash.Take(d, "f", time.Now()); err != nil {
		t.Error(err)
	}
	if e, err := d.Lstat("f"); e != nil || err != nil {
		t.Errorf("it is still there: %v, %v", e, err)
	}
}
