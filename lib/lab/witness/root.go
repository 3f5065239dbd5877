// Package witness is what somebody outside the cluster sees of it: the guests' files, addresses, journals and shares, looked at from the
// machine that runs them. It asks no part of HAFS for its opinion, except to read what each one wrote down.
//
// Looking costs the guests nothing: files are read through the guest's root without starting a process there. Only journals and
// the use of a share run something.
package witness

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// root is the root directory of a running guest as its own processes see it, tmpfs and mounts included. Links are followed as in the guest.
type root struct{ file *os.File }

func openRoot(leader int) (*root, error) {
	if leader == 0 {
		return nil, errors.New("is down")
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/root", leader), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &root{f}, nil
}

func (r *root) Close() error { return r.file.Close() }

func (r *root) open(path string, flags int, mode uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: mode, Resolve: unix.RESOLVE_IN_ROOT}
	for {
		fd, err := unix.Openat2(int(r.file.Fd()), path, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // EAGAIN: something was renamed meanwhile
			continue
		case err != nil:
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}

func (r *root) read(path string) ([]byte, error) {
	f, err := r.open(path, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (r *root) write(path string, text []byte) error {
	f, err := r.open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (r *root) remove(dir, name string) error {
	d, err := r.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Unlinkat(int(d.Fd()), name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: dir + "/" + name, Err: err}
	}
	return nil
}

// link is where a symbolic link leads, not followed.
func (r *root) link(path string) (string, error) {
	f, err := r.open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", target)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(target[:n]), nil
}
