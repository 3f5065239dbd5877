// Package tree is an opened directory that nothing leaves: every path is resolved by the kernel below it and through no
// symbolic link at all, not even one that stays inside (lib/host/beneath).
//
// It promises that names are what the kernel returned and that writes are whole: a file appears under its name with content, owner,
// mode and time, or not at all. It does not decide what should be written (package mirror).
package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/host/beneath"
	"hafs/lib/replication/change"
)

// Root is an opened directory. It keeps leading to the same directory whatever is mounted or renamed over its name.
type Root struct {
	Name string // as it was opened, for messages
	// Before, when set, is asked before every call that changes something; an error it returns takes the place of the call.
	Before func(step string) error
	// NoXattrs says that extended attributes are neither looked at nor set here, as through sshfs.
	NoXattrs bool
	// Refused, when set, is told of an extended attribute that the file system does not take, and the file is made without it; otherwise that
	// is an error.
	Refused func(attribute string, err error)

	file *os.File
	dev  uint64
	ino  uint64
}

// Open opens a directory. The name itself may be a symbolic link.
func Open(name string) (*Root, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	r := &Root{Name: name, file: f}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(r.fd(), &st) }); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	r.dev, r.ino = st.Dev, st.Ino
	return r, nil
}

func (r *Root) Close() error { return r.file.Close() }
func (r *Root) fd() int      { return int(r.file.Fd()) }

// Descriptor is the opened directory, for a program that has to work in exactly this one.
func (r *Root) Descriptor() int { return r.fd() }

// ErrMoved means that the name a directory was opened by leads somewhere else now, or nowhere.
var ErrMoved = errors.New("the directory that was opened is not there any more (moved, unmounted or covered by a mount)")

// StillThere checks that the name still leads to the directory that was opened.
func (r *Root) StillThere() error {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(r.Name, &st) }); err != nil {
		return fmt.Errorf("%s: %w: %w", r.Name, ErrMoved, err)
	}
	if st.Dev != r.dev || st.Ino != r.ino {
		return fmt.Errorf("%s: %w", r.Name, ErrMoved)
	}
	return nil
}

// Filesystem numbers of statfs(2).
const fuseMagic = unix.FUSE_SUPER_MAGIC

// IsFUSE says whether the directory is on a FUSE mount, such as sshfs.
func (r *Root) IsFUSE() (bool, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(r.fd(), &st) }); err != nil {
		return false, &fs.PathError{Op: "statfs", Path: r.Name, Err: err}
	}
	return st.Type == fuseMagic, nil
}

// Marker reads the marker at the root; nil if there is none.
func (r *Root) Marker() ([]byte, error) {
	d, err := r.Dir(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, err := d.OpenFile(change.Marker)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const maxMarkerBytes = 4096
	return io.ReadAll(io.LimitReader(f, maxMarkerBytes))
}

// Dir is an opened directory below a root.
type Dir struct {
	root *Root
	path string
	fd   int
}

// Dir opens a directory without reading it.
func (r *Root) Dir(path string) (*Dir, error) {
	fd, err := openDirectory(r.fd(), path, beneath.OneMount)
	for err == unix.EXDEV {
		if err = r.crossed(path); err == nil {
			fd, err = openDirectory(r.fd(), path, beneath.OneMount)
		}
	}
	if err == unix.ELOOP { // a symbolic link on the way: for whoever asks there is no such directory
		err = unix.ENOTDIR
	}
	if err != nil {
		return nil, r.fail("open directory", path, err)
	}
	return &Dir{r, path, fd}, nil
}

func (d *Dir) Close() { unix.Close(d.fd) }

// Path is the directory's path below its root.
func (d *Dir) Path() string { return d.path }

func (r *Root) fail(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: r.Name + "/" + path, Err: err}
}

func (d *Dir) fail(op, name string, err error) error {
	return d.root.fail(op, change.Join(d.path, name), err)
}

// Absent says whether an error means that there is nothing at a path.
func Absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// Full says whether an error means that there is no room.
func Full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// NoLinks says whether an error means that a file system takes no hard link, or no further one. SFTP has one word, EPERM, for many things.
func NoLinks(err error) bool {
	for _, no := range []unix.Errno{unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.EMLINK, unix.EXDEV} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// Lost says whether an error means that the file system itself does not answer any more, so that trying other files is no use.
func Lost(err error) bool {
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.EIO) || errors.Is(err, unix.ESTALE) || errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.ENODEV)
}

// Lstat is what is at a path; nil, without an error, if that is nothing.
func (r *Root) Lstat(path string) (*change.Entry, error) {
	if path == "." {
		return r.statRoot()
	}
	dir, name := change.Split(path)
	d, err := r.Dir(dir)
	if Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Lstat(name)
}

func (r *Root) statRoot() (*change.Entry, error) {
	var st unix.Stat_t
	now := time.Now()
	if err := retry(func() error { return unix.Fstat(r.fd(), &st) }); err != nil {
		return nil, r.fail("stat", ".", err)
	}
	e := entry(&st, now)
	var err error
	e.Xattrs, err = r.xattrs(r.fd(), e.Kind)
	return e, r.fail("read attributes", ".", err)
}

// Lstat is what has a name in the directory; nil, without an error, if that is nothing.
func (d *Dir) Lstat(name string) (*change.Entry, error) {
	e, err := d.stat(name)
	if Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, d.fail("stat", name, err)
	}
	if e.Kind == change.Symlink {
		e.Target, err = d.readlink(name)
		switch {
		case Absent(err):
			return nil, nil
		case err == unix.EPERM: // sshfs hides targets that lead out of the mount: there is a link, and where to is not known
		case err != nil:
			return nil, d.fail("read link", name, err)
		}
	}
	e.Xattrs, err = d.xattrs(name, e.Kind)
	if Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, d.fail("read attributes", name, err)
	}
	return e, nil
}

func (d *Dir) readlink(name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	var n int
	err := retry(func() (err error) {
		n, err = unix.Readlinkat(d.fd, name, buffer)
		return err
	})
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// entry takes the time before the call: whatever the entry does not show happened later.
func entry(st *unix.Stat_t, before time.Time) *change.Entry {
	e := &change.Entry{
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Dev: st.Dev, Ino: st.Ino, Nlink: uint64(st.Nlink), Seen: before.UnixNano(),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Kind, e.Size = change.File, st.Size
	case unix.S_IFDIR:
		e.Kind = change.Directory
	case unix.S_IFLNK:
		e.Kind = change.Symlink
	default:
		e.Kind = change.Special
	}
	return e
}

// List reads the names in the directory, in no particular order. Without an error the list is complete.
func (d *Dir) List() ([]string, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, d.fail("list", ".", err)
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, d.fail("list", ".", err)
	}
	return names, nil
}

// OpenFile opens a regular file for reading. Anything else, and a symbolic link above all, is refused.
func (d *Dir) OpenFile(name string) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	f := os.NewFile(uintptr(fd), change.Join(d.path, name))
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = d.fail("open", name, ErrNotRegular)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ErrNotRegular means that what was to be read is not a regular file.
var ErrNotRegular = errors.New("not a regular file")

// Stat is the entry of an opened file as it is now.
func Stat(f *os.File) (*change.Entry, error) {
	var st unix.Stat_t
	now := time.Now()
	if err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	e := entry(&st, now)
	var err error
	if e.Xattrs, err = xattrsOf(int(f.Fd())); err != nil {
		return nil, &fs.PathError{Op: "read attributes", Path: f.Name(), Err: err}
	}
	return e, nil
}

// retry repeats a system call that a signal interrupted; the runtime's own signals do that to calls on FUSE mounts.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// OpenFile opens a regular file for reading by its path; see Dir.OpenFile.
func (r *Root) OpenFile(path string) (*os.File, error) {
	dir, name := change.Split(path)
	d, err := r.Dir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.OpenFile(name)
}
