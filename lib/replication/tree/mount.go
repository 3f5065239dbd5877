package tree

import (
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/host/beneath"
	"hafs/lib/replication/change"
)

// ErrMount means that another file system, or another directory of the same one, is mounted at a path. What is in it belongs to somebody else: it is neither
// looked at nor changed. To the kernel such a name is busy.
var ErrMount error = mountError{}

type mountError struct{}

func (mountError) Error() string { return "something is mounted there, and mounts are not crossed" }
func (mountError) Unwrap() error { return unix.EBUSY }

// openDirectory opens a directory below another one to look things up in it.
func openDirectory(below int, path string, limits uint64) (int, error) {
	return beneath.Open(below, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, limits)
}

// Crossed tells, when the kernel refused to open a path below a directory with EXDEV, what stands in the way: a mount (ErrMount), or a rename that moved
// something out of the directory just then: ENOENT, or nil if it is back and the path may be tried again.
func Crossed(below int, path string) error {
	fd, err := openDirectory(below, path, beneath.Anywhere)
	switch {
	case err == unix.EXDEV || Absent(err) || err == unix.ELOOP:
		return unix.ENOENT
	case err != nil: // a user's own mount, which nobody else may look into
		return ErrMount
	}
	defer unix.Close(fd)
	if mountID(fd) == mountID(below) {
		return nil
	}
	return ErrMount
}

// crossed is Crossed below the root. What is not there because something is mounted above it is not told as absent.
func (r *Root) crossed(path string) error {
	err := Crossed(r.fd(), path)
	for err == unix.ENOENT && path != "." {
		if path, _ = change.Split(path); Crossed(r.fd(), path) == ErrMount {
			return ErrMount
		}
	}
	return err
}

// mountID is the number of the mount that a descriptor was opened through; 0 from a kernel that does not tell.
func mountID(fd int) uint64 {
	var x unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &x) != nil {
		return 0
	}
	return x.Mnt_id
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
	if err == nil && name != "." && mountRoot(&x) { // the share itself may be one
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
