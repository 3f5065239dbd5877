package tree

import (
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// ErrMount means that another file system, or another directory of the same one, is mounted at a path. What is in it belongs to somebody else: it is neither
// looked at nor changed. To the kernel such a name is busy.
var ErrMount error = mountError{}

type mountError struct{}

func (mountError) Error() string { return "something is mounted there, and mounts are not crossed" }
func (mountError) Unwrap() error { return unix.EBUSY }

// openat2 repeats what a signal interrupted, or a rename raced with.
func openat2(below int, path string, how *unix.OpenHow) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat2(below, path, how)
		if err == unix.EAGAIN {
			err = unix.EINTR
		}
		return err
	})
	return fd, err
}

// outside tells a mount from a directory that was moved out of the root while it was being opened: for both the kernel says EXDEV.
func (r *Root) outside(path string, how unix.OpenHow) error {
	how.Resolve &^= unix.RESOLVE_NO_XDEV
	fd, err := openat2(r.fd(), path, &how)
	switch err {
	case nil:
		unix.Close(fd)
	case unix.EXDEV:
		return unix.ENOENT
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP: // below a mount, or gone by now
		return r.beneath(path)
	}
	return ErrMount // also a user's own mount, which nobody else may look into
}

// beneath is ErrMount if a directory on the way to a path is a mount.
func (r *Root) beneath(path string) error {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	fd, err := openat2(r.fd(), path, &how)
	if err == nil {
		unix.Close(fd)
	}
	if err == unix.EXDEV {
		return ErrMount
	}
	return unix.ENOENT
}

// stat is that of what has a name in the directory. It costs no more than fstatat(2), and tells mounts.
func (d *Dir) stat(name string) (*change.Entry, error) {
	now := time.Now()
	var x unix.Statx_t
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	err := retry(func() error { return unix.Statx(d.fd, name, flags, unix.STATX_BASIC_STATS, &x) })
	if err != nil && !Absent(err) { // a FUSE mount tells others than its user nothing, but still that it is one
		var bare unix.Statx_t
		if retry(func() error { return unix.Statx(d.fd, name, flags, 0, &bare) }) == nil && mountRoot(&bare) {
			return nil, ErrMount
		}
	}
	if err == nil && mountRoot(&x) {
		err = ErrMount
	}
	if err != nil {
		return nil, err
	}
	e := entry(&unix.Stat_t{
		Dev: unix.Mkdev(x.Dev_major, x.Dev_minor), Ino: x.Ino, Mode: uint32(x.Mode), Uid: x.Uid, Gid: x.Gid, Size: int64(x.Size),
		Mtim: moment(x.Mtime), Ctim: moment(x.Ctime),
	}, now)
	e.Nlink = uint64(x.Nlink)
	return e, nil
}

func moment(t unix.StatxTimestamp) unix.Timespec {
	return unix.NsecToTimespec(t.Sec*int64(time.Second) + int64(t.Nsec))
}

func mountRoot(x *unix.Statx_t) bool {
	return x.Attributes_mask&x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
