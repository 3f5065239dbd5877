package sftpd

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"hafs/lib/client/sftp"
)

func attributesOf(st *unix.Stat_t) sftp.Attributes {
	return sftp.Attributes{
		Flags: sftp.AttrSize | sftp.AttrOwner | sftp.AttrPermissions | sftp.AttrTimes,
		Size:  uint64(st.Size), UID: st.Uid, GID: st.Gid, Permissions: st.Mode, Atime: uint32(st.Atim.Sec), Mtime: uint32(st.Mtim.Sec),
	}
}

func (s *session) lstat(a *arguments) (byte, []byte, error) {
	name := a.text()
	if a.err != nil {
		return 0, nil, a.err
	}
	fd, err := s.at(name)
	if err != nil {
		return 0, nil, err
	}
	defer unix.Close(fd)
	return attributesBehind(fd)
}

func (s *session) fstat(a *arguments) (byte, []byte, error) {
	fd, err := s.file(a)
	if err != nil {
		return 0, nil, err
	}
	return attributesBehind(fd)
}

func attributesBehind(fd int) (byte, []byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, nil, err
	}
	return sftp.Attrs, attributesOf(&st).Append(nil), nil
}

func (s *session) setstat(a *arguments) error {
	name, attributes := a.text(), a.attributes()
	if a.err != nil {
		return a.err
	}
	fd, err := s.at(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return set(fd, attributes)
}

func (s *session) fsetstat(a *arguments) error {
	fd, err := s.file(a)
	attributes := a.attributes()
	if err = errors.Join(err, a.err); err != nil {
		return err
	}
	if attributes.Flags&sftp.AttrSize != 0 { // by the handle, which had the right to write when it was opened
		err = unix.Ftruncate(fd, int64(attributes.Size))
		attributes.Flags &^= sftp.AttrSize
	}
	return errors.Join(err, set(fd, attributes))
}

// set gives attributes to exactly what a descriptor is of. All are tried, in OpenSSH's order.
func set(fd int, a sftp.Attributes) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	kind, path := st.Mode&unix.S_IFMT, self(fd)
	var all []error
	if a.Flags&sftp.AttrSize != 0 {
		switch kind {
		case unix.S_IFREG:
			all = append(all, unix.Truncate(path, int64(a.Size)))
		case unix.S_IFDIR:
			all = append(all, unix.EISDIR)
		default:
			all = append(all, unix.EINVAL)
		}
	}
	if a.Flags&sftp.AttrPermissions != 0 && kind != unix.S_IFLNK { // tar and others set that of links too, and there is none
		all = append(all, unix.Chmod(path, a.Permissions&modeBits))
	}
	if a.Flags&sftp.AttrTimes != 0 {
		all = append(all, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: int64(a.Atime)}, {Sec: int64(a.Mtime)}}, 0))
	}
	if a.Flags&sftp.AttrOwner != 0 {
		all = append(all, unix.Fchownat(fd, "", int(a.UID), int(a.GID), unix.AT_EMPTY_PATH))
	}
	return errors.Join(all...)
}

func (s *session) statvfs(a *arguments) (byte, []byte, error) {
	name := a.text()
	if a.err != nil {
		return 0, nil, a.err
	}
	fd, err := s.at(name)
	if err != nil {
		return 0, nil, err
	}
	defer unix.Close(fd)
	return s.roomBehind(fd)
}

func (s *session) fstatvfs(a *arguments) (byte, []byte, error) {
	h, known := s.handles[a.text()]
	switch {
	case a.err != nil:
		return 0, nil, a.err
	case !known:
		return 0, nil, unix.EBADF
	}
	return s.roomBehind(descriptor(h.file))
}

// roomBehind is the answer of statvfs(3), of which SFTP knows two flags. As a quota does, a bound takes from what is available, and not from what is free.
func (s *session) roomBehind(fd int) (byte, []byte, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return 0, nil, err
	}
	if s.Room != nil {
		if bytes, known := s.Room(); known && st.Frsize > 0 {
			st.Bavail = min(st.Bavail, bytes/uint64(st.Frsize))
		}
	}
	id := uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
	flags := uint64(st.Flags) & (unix.ST_RDONLY | unix.ST_NOSUID)
	var body []byte
	for _, v := range []uint64{
		uint64(st.Bsize), uint64(st.Frsize), st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree, st.Ffree, id, flags, uint64(st.Namelen),
	} {
		body = binary.BigEndian.AppendUint64(body, v)
	}
	return sftp.Reply, body, nil
}

func limits() (byte, []byte, error) {
	var body []byte
	for _, v := range []uint64{packetAtMost, readAtMost, readAtMost, handlesAtMost} {
		body = binary.BigEndian.AppendUint64(body, v)
	}
	return sftp.Reply, body, nil
}
