package tree

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// xattrs reads the attributes of what an opened file, or a descriptor that only names something, is of. Of what is not replicated nobody
// needs them.
func (r *Root) xattrs(fd int, kind change.FileKind) (change.Xattrs, error) {
	if r.NoXattrs || kind == change.Special {
		return "", nil
	}
	return xattrsOf(fd)
}

func xattrsOf(fd int) (change.Xattrs, error) {
	path := self(fd)
	return readXattrs(
		func(b []byte) (int, error) { return unix.Listxattr(path, b) },
		func(name string, b []byte) (int, error) { return unix.Getxattr(path, name, b) },
	)
}

// xattrs reads the attributes of what has a name in the directory.
func (d *Dir) xattrs(name string, kind change.FileKind) (change.Xattrs, error) {
	if d.root.NoXattrs || kind == change.Special {
		return "", nil
	}
	path := self(d.fd) + "/" + name
	return readXattrs(
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(attribute string, b []byte) (int, error) { return unix.Lgetxattr(path, attribute, b) },
	)
}

// fewBytes is enough for the names of nearly every file; the kernel allocates as much as it is offered.
const fewBytes = 256

// readXattrs reads the attributes that are replicated. If there are none, one call is all it costs.
func readXattrs(list func([]byte) (int, error), get func(name string, b []byte) (int, error)) (change.Xattrs, error) {
	names, err := growing(list)
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return "", nil
	}
	if err != nil || names == "" {
		return "", err
	}
	values := map[string]string{}
	size := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		if !change.KeptXattr(name) {
			continue
		}
		value, err := growing(func(b []byte) (int, error) { return get(name, b) })
		if err == unix.ENODATA { // it was removed meanwhile
			continue
		}
		if err != nil {
			return "", err
		}
		values[name] = value
		if size += len(value); size > change.MaxXattrsBytes {
			break // XattrsOf says what that means
		}
	}
	return change.XattrsOf(values), nil
}

func growing(read func([]byte) (int, error)) (string, error) {
	for size := fewBytes; ; {
		buffer := make([]byte, size)
		var n int
		err := retry(func() (err error) {
			n, err = read(buffer)
			return err
		})
		if err == unix.ERANGE && size < maxAttributeBytes {
			size = maxAttributeBytes
			continue
		}
		if err != nil {
			return "", err
		}
		return string(buffer[:n]), nil
	}
}

// maxAttributeBytes is what the kernel lets one value, and all names of a file together, have (XATTR_SIZE_MAX, XATTR_LIST_MAX).
const maxAttributeBytes = 64 << 10

// setXattrs makes the attributes those of e: what is missing or different is set, what is too much is removed. chown says that the owner
// was changed since have was read.
func (r *Root) setXattrs(fd int, e, have *change.Entry, chown bool) error {
	if r.NoXattrs || e.Xattrs == change.UnknownXattrs {
		return nil
	}
	now := have.Xattrs
	if now == e.Xattrs && (!chown || now == "") {
		return nil
	}
	if chown || !now.Known() {
		var err error
		if now, err = xattrsOf(fd); err != nil {
			return err
		}
	}
	path := self(fd)
	wanted, has := e.Xattrs.Values(), now.Values()
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if _, stays := wanted[name]; !stays {
			err := r.do("remove attribute", func() error { return unix.Removexattr(path, name) })
			if err != nil && err != unix.ENODATA {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if value, is := has[name]; is && value == wanted[name] {
			continue
		}
		err := r.do("set attribute", func() error { return unix.Setxattr(path, name, []byte(wanted[name]), 0) })
		if err != nil && r.Refused != nil && refuses(path, name, err) {
			r.Refused(name, err)
			err = nil
		}
		if err != nil {
			return &xattrError{name, err}
		}
	}
	return nil
}

// refuses says whether an error means that the file system has no such attributes, or none so large, or that this process may not set one of its kind
// anywhere. ext4 says for both a full disk and an attribute that does not fit into its block that there is no room.
func refuses(path, name string, err error) bool {
	switch {
	case errors.Is(err, unix.EPERM):
		return !strings.HasPrefix(name, "user.") // of those it is a matter of the file
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.E2BIG), errors.Is(err, unix.ERANGE):
		return true
	case errors.Is(err, unix.ENOSPC):
		var st unix.Statfs_t
		return unix.Statfs(path, &st) == nil && st.Bavail*uint64(st.Bsize) > change.MaxXattrsBytes
	}
	return false
}

// xattrError names the attribute.
type xattrError struct {
	name string
	err  error
}

func (e *xattrError) Error() string { return e.name + ": " + e.err.Error() }
func (e *xattrError) Unwrap() error { return e.err }
