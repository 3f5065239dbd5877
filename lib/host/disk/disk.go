// Package disk tries whether a file system takes changes: by a file without a name, which shows in no listing and changes no directory's time. It
// blocks when the disk hangs.
package disk

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
)

// Try writes and syncs 512 bytes in a directory's file system.
func Try(directory string) error {
	fd, err := unix.Open(directory, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "try")
	_, err = f.Write(make([]byte, 512))
	return errors.Join(err, unix.Fdatasync(int(f.Fd())), f.Close())
}

// Grave says of an error whether a file system that answers so takes nothing at all any more, not even a delete that makes room.
func Grave(err error) bool { return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EIO) }

// Problem is the id of what a file system answered.
func Problem(err error) problem.ID {
	for id, numbers := range map[problem.ID][]syscall.Errno{
		problem.ReadOnly: {syscall.EROFS}, problem.Failing: {syscall.EIO}, problem.Full: {syscall.ENOSPC, syscall.EDQUOT}, problem.NoSuchDir: {syscall.ENOENT},
	} {
		if slices.ContainsFunc(numbers, func(n syscall.Errno) bool { return errors.Is(err, n) }) {
			return id
		}
	}
	return problem.Refusing
}
