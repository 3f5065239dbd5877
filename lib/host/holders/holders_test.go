package holders_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"hafs/lib/host/holders"
)

// mine are the paths that this process holds below the directory, by what Writers says.
func mine(t *testing.T, directory string) []string {
	t.Helper()
	all, err := holders.Writers(directory, func([]string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, h := range all {
		if h.PID != os.Getpid() || h.Name == "" {
			t.Errorf("%s, which holds nothing there", h)
		}
		paths = append(paths, filepath.Base(h.Path))
	}
	slices.Sort(paths)
	return paths
}

func open(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestWhoCanWriteIsFound(t *testing.T) {
	dir := t.TempDir()
	open(t, filepath.Join(dir, "read"), os.O_RDONLY)
	open(t, filepath.Join(dir, "written"), os.O_WRONLY)
	open(t, filepath.Join(dir, "both"), os.O_RDWR|os.O_APPEND)
	open(t, filepath.Join(dir, "removed"), os.O_RDWR)
	if err := os.Remove(filepath.Join(dir, "removed")); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(t.TempDir(), "elsewhere"), os.O_RDWR)
	f := open(t, filepath.Join(dir, "mapped"), os.O_RDWR)
	if err := f.Truncate(1); err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(m) })
	f.Close()
	if got, want := mine(t, dir), []string{"both", "mapped", "written"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A directory of another name that begins with the same letters is not below it.
func TestANeighbourIsNotBelow(t *testing.T) {
	dir := t.TempDir()
	open(t, dir+"-other", os.O_RDWR)
	t.Cleanup(func() { os.Remove(dir + "-other") })
	if got := mine(t, dir); len(got) > 0 {
		t.Errorf("found %q", got)
	}
}

func TestOwnProcessesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	open(t, filepath.Join(dir, "written"), os.O_WRONLY)
	all, err := holders.Writers(dir, func([]string) bool { return true })
	if err != nil || len(all) > 0 {
		t.Errorf("found %v, %v", all, err)
	}
}
