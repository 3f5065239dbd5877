package gate

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHowADirectoryDoesNotHoldTheShare(t *testing.T) {
	directory := t.TempDir()
	look := func(what string, want Bareness) {
		t.Helper()
		if got, err := Look(directory, "test"); got != want || (err == nil) != (want == "") {
			t.Errorf("%s: %q %v, want %q", what, got, err, want)
		}
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	look("nothing is mounted", Unmarked)
	put(Marker, "cluster: test\n")
	look("the share", "")
	put(Marker, "cluster: other\n")
	look("another cluster's", Unmarked)
	directory = filepath.Join(directory, "none")
	look("no directory", Unmarked)

	directory = t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	if err := unix.Mount("hafs", directory, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("needs to mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(directory, unix.MNT_DETACH) })
	look("a new disk", EmptyDisk)
	if err := os.Mkdir(filepath.Join(directory, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	look("a new disk with ext4", EmptyDisk)
	put("file", "")
	look("a disk with something else", Unmarked)
	put(Marker, "cluster: test\n")
	look("a disk with the share", "")
}
