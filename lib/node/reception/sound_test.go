package reception

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
)

// A share that is read-only as a whole is told to hafs-linkcheck and not to the client; an error of one file is told to the client alone.
func TestWhatTheShareAsAWholeHas(t *testing.T) {
	directory := t.TempDir()
	told := make(chan error, 4)
	s := &soundness{directory: directory, unfit: func(err error) { told <- err }}
	for _, err := range []error{syscall.ENOENT, syscall.ENOSPC, syscall.EIO, &os.PathError{Op: "write", Path: "f", Err: syscall.EROFS}} {
		if kept := s.failed(err); kept != nil {
			t.Errorf("%v, of one file: %v", err, kept)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to make a file system read-only")
	}
	if err := unix.Mount("hafs", directory, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Skip("needs to mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(directory, unix.MNT_DETACH) })
	if kept := s.failed(syscall.ENOSPC); kept != nil {
		t.Errorf("full: %v", kept)
	}
	for range 3 {
		if kept := s.failed(syscall.EROFS); !errors.Is(kept, syscall.EROFS) {
			t.Errorf("read-only: %v", kept)
		}
	}
	if err := <-told; !strings.Contains(err.Error(), directory+" takes no changes: read-only file system") || problem.Of(err) != problem.ReadOnly {
		t.Errorf("told %v", err)
	}
	if err := unix.Mount("", directory, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-told:
		if err != nil {
			t.Errorf("told once more: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody is told that it takes changes again")
	}
}
