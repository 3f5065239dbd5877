package sftpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/client/sftp"
	"hafs/lib/host/beneath"
)

// namesAtOnce is how many names an answer has, as OpenSSH's.
const namesAtOnce = 100

// listing is how far a directory was read.
type listing struct {
	begun bool
}

func (s *session) opendir(a *arguments) (byte, []byte, error) {
	name := a.text()
	if a.err != nil {
		return 0, nil, a.err
	}
	if len(s.handles) >= handlesAtMost {
		return 0, nil, unix.EMFILE
	}
	p, err := s.within(name)
	if err != nil {
		return 0, nil, err
	}
	fd, err := beneath.Open(s.root, p, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, beneath.OneMount)
	if err != nil {
		return 0, nil, err
	}
	return s.keep(handle{file: os.NewFile(uintptr(fd), name), names: &listing{}})
}

func (s *session) readdir(a *arguments) (byte, []byte, error) {
	h, known := s.handles[a.text()]
	switch {
	case a.err != nil:
		return 0, nil, a.err
	case !known || h.names == nil:
		return 0, nil, unix.EBADF
	}
	var names []string
	if !h.names.begun {
		h.names.begun = true
		names = []string{".", ".."}
	}
	more, err := h.file.Readdirnames(namesAtOnce - len(names))
	if names = append(names, more...); len(names) == 0 {
		if errors.Is(err, io.EOF) {
			return 0, nil, errEnd
		}
		return 0, nil, err
	}
	count, body := uint32(0), make([]byte, 4, 4+namesAtOnce*128)
	for _, name := range names {
		attributes, links, there := look(descriptor(h.file), name)
		if !there {
			continue
		}
		count++
		body = sftp.AppendString(sftp.AppendString(body, name), longName(name, attributes, links))
		body = attributes.Append(body)
	}
	binary.BigEndian.PutUint32(body, count)
	return sftp.Name, body, nil
}

// look is what a name of a directory has. The directory above is told as this one, as it may be outside; of what is mounted here nothing is told but that there is something.
func look(directory int, name string) (a sftp.Attributes, links uint32, there bool) {
	if name == ".." {
		name = "."
	}
	var st unix.Statx_t
	if unix.Statx(directory, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, &st) != nil {
		return a, 0, false
	}
	a = sftp.Attributes{
		Flags: sftp.AttrSize | sftp.AttrOwner | sftp.AttrPermissions | sftp.AttrTimes,
		Size:  st.Size, UID: st.Uid, GID: st.Gid, Permissions: uint32(st.Mode), Atime: uint32(st.Atime.Sec), Mtime: uint32(st.Mtime.Sec),
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 && name != "." {
		a = sftp.Attributes{Flags: sftp.AttrPermissions, Permissions: uint32(st.Mode) & unix.S_IFMT}
	}
	return a, st.Nlink, true
}

// longName is a line as of ls -l, for people. Owners are numbers: the client's names may be others.
func longName(name string, a sftp.Attributes, links uint32) string {
	mode := []byte("?rwxrwxrwx")
	for bit := range 9 {
		if a.Permissions&(1<<(8-bit)) == 0 {
			mode[1+bit] = '-'
		}
	}
	if kind, known := map[uint32]byte{unix.S_IFREG: '-', unix.S_IFDIR: 'd', unix.S_IFLNK: 'l', unix.S_IFIFO: 'p', unix.S_IFSOCK: 's', unix.S_IFCHR: 'c', unix.S_IFBLK: 'b'}[a.Permissions&unix.S_IFMT]; known {
		mode[0] = kind
	}
	when := time.Unix(int64(a.Mtime), 0).Format("Jan _2 15:04 2006")
	return fmt.Sprintf("%s %4d %-8d %-8d %8d %s %s", mode, links, a.UID, a.GID, a.Size, when, name)
}
