package tree

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// do carries out one named step.
func (r *Root) do(step string, act func() error) error {
	if r.Before != nil {
		if err := r.Before(step); err != nil {
			return err
		}
	}
	return retry(act)
}

// TemporaryName is a new name for something that is not finished.
func TemporaryName() string {
	return fmt.Sprintf("%s%08x", change.TemporaryPrefix, rand.Uint32())
}

// MakeDirectory makes a directory; its mode is set when it is finished.
func (d *Dir) MakeDirectory(name string) error {
	err := d.root.do("make directory", func() error { return unix.Mkdirat(d.fd, name, 0o700) })
	return d.fail("make directory", name, err)
}

// WriteTemporary makes a new file, lets fill write it, syncs it and gives it all attributes of the entry that fill returns; mode is what
// it will probably be. After any error the file is gone again.
func (d *Dir) WriteTemporary(mode uint32, sync bool, fill func(*os.File) (*change.Entry, error)) (name string, err error) {
	name = TemporaryName()
	return name, d.write(name, unix.O_CREAT|unix.O_EXCL, mode, sync, fill, func() bool { return false })
}

// PartialName is where a large file arrives that is to have a name.
func PartialName(name string) string {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	return fmt.Sprintf("%s%016x", change.PartialPrefix, hash.Sum64())
}

// WritePartial is WriteTemporary for a file that may go on later: resume says that it begins with what arrived before. keep is asked after an error whether
// what has arrived stays.
func (d *Dir) WritePartial(
	target string, resume bool, mode uint32, sync bool, fill func(*os.File) (*change.Entry, error), keep func() bool,
) (name string, err error) {
	name = PartialName(target)
	flags := 0
	if !resume {
		if err := d.RemoveTree(name); err != nil {
			return "", err
		}
		flags = unix.O_CREAT | unix.O_EXCL
	}
	return name, d.write(name, flags, mode, sync, fill, keep)
}

func (d *Dir) write(name string, flags int, mode uint32, sync bool, fill func(*os.File) (*change.Entry, error), keep func() bool) error {
	var fd int
	err := d.root.do("make temporary", func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|flags, mode&0o777)
		return err
	})
	if err != nil {
		return d.fail("make", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	var e *change.Entry
	err = d.root.do("write", func() (err error) {
		e, err = fill(f)
		return err
	})
	err = d.finish(f, e, sync, err)
	if closeErr := f.Close(); err == nil { // through FUSE this is where a failed write may first be told
		err = closeErr
	}
	if err != nil && !keep() {
		d.Discard(name)
	}
	return d.fail("write", name, err)
}

// finish syncs a file that was written, and gives it its attributes.
func (d *Dir) finish(f *os.File, e *change.Entry, sync bool, err error) error {
	if err == nil && sync {
		err = d.root.do("sync", f.Sync)
	}
	if err != nil {
		return err
	}
	have, err := Stat(f)
	if err == nil && have.Size != e.Size {
		err = fmt.Errorf("%d of %d bytes arrived", have.Size, e.Size)
	}
	if err == nil {
		err = d.root.set(int(f.Fd()), e, have)
	}
	return err
}

// OpenToRewrite opens a file to change it where it is.
func (d *Dir) OpenToRewrite(name string) (*os.File, error) {
	var fd int
	err := d.root.do("open to rewrite", func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return os.NewFile(uintptr(fd), change.Join(d.path, name)), nil
}

// Rewrite lets fill change a file where it is, gives it all attributes of an entry and syncs it. Whatever ends it in between leaves a file that
// is neither old nor new.
func (d *Dir) Rewrite(f *os.File, e *change.Entry, fill func() error) error {
	fd := int(f.Fd())
	have, err := Stat(f)
	if err == nil && have.Mode&e.Mode != have.Mode { // nobody may read what comes who may not read it in the end
		err = d.root.do("set mode", func() error { return unix.Fchmod(fd, have.Mode&e.Mode) })
	}
	if err == nil {
		err = d.root.do("rewrite", fill)
	}
	err = d.finish(f, e, false, err)
	if err == nil {
		err = d.root.do("sync", f.Sync) // with its attributes, as what could make it whole goes then
	}
	return d.fail("write", f.Name(), err)
}

// Room is how many bytes the file system still takes.
func (r *Root) Room() (int64, error) {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(r.fd(), &st) })
	return int64(st.Bavail) * st.Bsize, r.fail("statfs", ".", err)
}

// Sync makes sure that what is in a file, or the names in a directory, outlive a loss of power. Other things have nothing to sync.
func (r *Root) Sync(path string) error {
	dir, name := change.Split(path)
	d, err := r.Dir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = r.do("sync", func() error {
		fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err == unix.ELOOP || err == unix.ENXIO {
			return nil
		}
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Fsync(fd); err != unix.EINVAL {
			return err
		}
		return nil
	})
	return d.fail("sync", name, err)
}

// SyncAll makes sure that all of the root's file system outlives a loss of power.
func (r *Root) SyncAll() error {
	if err := r.do("sync all", func() error { return unix.Syncfs(r.fd()) }); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", r.Name, err)
	}
	return nil
}

// MakeSymlink makes a symbolic link under a temporary name. A plain one gets neither owner nor time.
func (d *Dir) MakeSymlink(e *change.Entry, plain bool) (name string, err error) {
	name = TemporaryName()
	err = d.root.do("make symlink", func() error { return unix.Symlinkat(e.Target, d.fd, name) })
	if err != nil {
		return "", d.fail("make symlink", name, err)
	}
	if err := d.SetAttributes(name, e, nil, plain); err != nil {
		d.Discard(name)
		return "", err
	}
	return name, nil
}

// MakeLink makes another name for a file of the same root, under a temporary name.
func (d *Dir) MakeLink(from *Dir, file string) (name string, err error) {
	name = TemporaryName()
	err = d.root.do("link", func() error { return unix.Linkat(from.fd, file, d.fd, name, 0) })
	if err != nil {
		return "", d.fail("link", name, err)
	}
	return name, nil
}

// SetAttributes gives what has a name the attributes of e; what have already has right is not set again. The name is
// opened first, without following it, so that a link planted meanwhile is never written through. A plain symbolic link is left alone.
func (d *Dir) SetAttributes(name string, e, have *change.Entry, plain bool) error {
	if e.Kind == change.Symlink && plain {
		return nil
	}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return d.fail("set attributes", name, err)
	}
	defer unix.Close(fd)
	if have == nil {
		var st unix.Stat_t
		if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
			return d.fail("set attributes", name, err)
		}
		have = entry(&st, time.Time{})
		if have.Xattrs, err = d.root.xattrs(fd, have.Kind); err != nil {
			return d.fail("read attributes", name, err)
		}
	}
	return d.fail("set attributes", name, d.root.set(fd, e, have))
}

// set changes what is different of what a descriptor leads to, through the descriptor. The order is that of the kernel's side effects: a new owner
// takes setuid, setgid and capabilities away, and the group's bits of a mode are the mask of an ACL.
func (r *Root) set(fd int, e, have *change.Entry) (err error) {
	if have.Kind != e.Kind {
		return fmt.Errorf("is a %s, not a %s", have.Kind, e.Kind)
	}
	path := self(fd)
	chown := have.UID != e.UID || have.GID != e.GID
	if chown {
		err = r.do("set owner", func() error { return unix.Fchownat(fd, "", int(e.UID), int(e.GID), unix.AT_EMPTY_PATH) })
	}
	if err == nil && e.Kind != change.Symlink && (have.Mode != e.Mode || chown && e.Mode&0o6000 != 0) {
		err = r.do("set mode", func() error { return unix.Chmod(path, e.Mode) })
	}
	if err == nil {
		err = r.setXattrs(fd, e, have, chown)
	}
	if err == nil && have.Mtime != e.Mtime {
		err = r.do("set times", func() error { return setTimes(path, e.Mtime) })
	}
	return err
}

func setTimes(path string, mtime int64) error {
	times := []unix.Timespec{unix.NsecToTimespec(mtime), unix.NsecToTimespec(mtime)} // sshfs cannot leave the access time out
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, 0)
}

// self leads through any descriptor to exactly what it is of, also through one that was only opened to name something (O_PATH), be it a
// symbolic link: the kernel follows the link in /proc and not that one.
func self(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// Publish gives a temporary name its final one, whatever had that before. A reader sees the old or the new. Only when one of the two is
// a directory (aside) the old one is first moved out of the way, so that for a moment there is neither.
func (d *Dir) Publish(temporary, name string, aside bool) (err error) {
	defer func() {
		if err != nil {
			d.Discard(temporary)
		}
	}()
	old := ""
	if aside {
		if old, err = d.MoveAside(name); err != nil {
			return err
		}
	}
	err = d.root.do("rename", func() error { return unix.Renameat(d.fd, temporary, d.fd, name) })
	if err != nil && old != "" {
		_ = d.root.do("move back", func() error { return unix.Renameat(d.fd, old, d.fd, name) })
	}
	if err != nil {
		return d.fail("rename", name, err)
	}
	if old != "" {
		return d.RemoveTree(old)
	}
	return nil
}

// Discard removes a temporary name, as far as that is possible; a stray is removed by the next comparison of everything.
func (d *Dir) Discard(temporary string) {
	_ = d.root.do("discard", func() error { return unix.Unlinkat(d.fd, temporary, 0) })
}

// MoveAside gives what has a name a temporary one. It is no error if there is nothing.
func (d *Dir) MoveAside(name string) (string, error) {
	temporary := TemporaryName()
	err := d.root.do("move aside", func() error { return unix.Renameat(d.fd, name, d.fd, temporary) })
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	return temporary, d.fail("move aside", name, err)
}

// RemoveTree removes whatever has a name, a directory with all that is in it. It is no error if there is nothing.
func (d *Dir) RemoveTree(name string) error {
	err := d.root.do("remove", func() error { return unix.Unlinkat(d.fd, name, 0) })
	if err == nil || Absent(err) {
		return nil
	}
	e, statErr := d.Lstat(name)
	if statErr != nil || e == nil {
		return statErr
	}
	if e.Kind != change.Directory {
		return d.fail("remove", name, err)
	}
	below, err := d.root.Dir(change.Join(d.path, name))
	if Absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer below.Close()
	names, err := below.List()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := below.RemoveTree(n); err != nil {
			return err
		}
	}
	err = d.root.do("remove directory", func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
	if Absent(err) {
		return nil
	}
	return d.fail("remove directory", name, err)
}

// Move renames something within the root. It does nothing, and says so, when one of the two directories is not there.
func (r *Root) Move(from, to string) (bool, error) {
	fromDir, fromName := change.Split(from)
	toDir, toName := change.Split(to)
	source, err := r.Dir(fromDir)
	if err == nil {
		defer source.Close()
		var target *Dir
		if target, err = r.Dir(toDir); err == nil {
			defer target.Close()
			err = target.fail("move", toName, r.do("move", func() error { return unix.Renameat(source.fd, fromName, target.fd, toName) }))
		}
	}
	if Absent(err) {
		return false, nil
	}
	return err == nil, err
}
