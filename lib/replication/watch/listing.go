package watch

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hafs/lib/host/beneath"
	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// openDirectory opens a path below an opened directory for reading; -1, without an error, if no directory is there. Mounts are not crossed.
func openDirectory(below int, path string) (int, error) {
	for {
		fd, err := beneath.Open(below, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0, beneath.OneMount)
		switch {
		case tree.Absent(err) || err == unix.ELOOP:
			return -1, nil
		case err == unix.EXDEV:
			if err := tree.Crossed(below, path); tree.Absent(err) {
				return -1, nil
			} else if err != nil {
				return -1, &opening{path, err}
			}
		case err != nil:
			return -1, &opening{path, err}
		default:
			return fd, nil
		}
	}
}

type opening struct {
	path string
	err  error
}

func (e *opening) Error() string { return "open directory " + e.path + ": " + e.err.Error() }
func (e *opening) Unwrap() error { return e.err }

// The fixed part of a linux_dirent64 of getdents64(2).
const (
	lengthOffset = 16
	typeOffset   = 18
	nameOffset   = 19
)

// list reads a directory that was just opened: the names of the directories in it, in order, and what else there is to each. The
// kernel tells directories from files without a look at the files; on the few file systems that cannot do it there is one.
func list(fd int, buffer []byte, each func(name []byte)) (directories []string, err error) {
	for {
		n, err := unix.Getdents(fd, buffer)
		if err == unix.EINTR {
			continue
		}
		if tree.Absent(err) { // it was deleted meanwhile
			return nil, nil
		}
		if err != nil {
			return nil, &opening{"to list it", err}
		}
		if n == 0 {
			slices.Sort(directories)
			return directories, nil
		}
		for rest := buffer[:n]; len(rest) > nameOffset; {
			length := int(binary.NativeEndian.Uint16(rest[lengthOffset:]))
			name, _, _ := bytes.Cut(rest[nameOffset:length], []byte{0})
			kind := rest[typeOffset]
			rest = rest[length:]
			if string(name) == "." || string(name) == ".." || strings.HasPrefix(string(name), change.TemporaryPrefix) {
				continue
			}
			if kind == unix.DT_UNKNOWN {
				kind = lookup(fd, string(name))
			}
			if kind == unix.DT_DIR {
				directories = append(directories, string(name))
			} else if each != nil {
				each(name)
			}
		}
	}
}

func lookup(fd int, name string) byte {
	var st unix.Stat_t
	if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.DT_DIR
	}
	return unix.DT_UNKNOWN
}
