package sftpd

import (
	"encoding/binary"
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"hafs/lib/client/sftp"
)

// on carries out a call on the place of one name.
func (s *session) on(name string, a *arguments, call func(p place) error) error {
	if a.err != nil {
		return a.err
	}
	p, done, err := s.locate(name)
	if err != nil {
		return err
	}
	defer done()
	return call(p)
}

func (s *session) remove(a *arguments, flags int) error {
	return s.on(a.text(), a, func(p place) error { return unix.Unlinkat(p.directory, p.name, flags) })
}

func (s *session) mkdir(a *arguments) error {
	name, attributes := a.text(), a.attributes()
	mode := uint32(modeUnsaidDirectory)
	if attributes.Flags&sftp.AttrPermissions != 0 {
		mode = attributes.Permissions & modeBits
	}
	return s.on(name, a, func(p place) error {
		return s.unmasked.Do(func() error { return unix.Mkdirat(p.directory, p.name, mode) })
	})
}

// symlink makes a link to anywhere: its target is text. OpenSSH takes the target first, which is the other way round than the draft.
func (s *session) symlink(a *arguments) error {
	target, name := a.text(), a.text()
	return s.on(name, a, func(p place) error { return unix.Symlinkat(target, p.directory, p.name) })
}

func (s *session) readlink(a *arguments) (byte, []byte, error) {
	name, target := a.text(), ""
	err := s.on(name, a, func(p place) error {
		buffer := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(p.directory, p.name, buffer)
		target = string(buffer[:max(n, 0)])
		return err
	})
	return oneName(target, err)
}

// realpath is a name made absolute. Whether anything is there is not looked at; nothing but the share is named.
func (s *session) realpath(a *arguments) (byte, []byte, error) {
	name := a.text()
	if a.err != nil {
		return 0, nil, a.err
	}
	if !path.IsAbs(name) {
		name = path.Join(s.directory, name)
	}
	name = path.Clean(name)
	if _, err := s.within(name); err != nil {
		return 0, nil, err
	}
	return oneName(name, nil)
}

func oneName(name string, err error) (byte, []byte, error) {
	if err != nil {
		return 0, nil, err
	}
	body := binary.BigEndian.AppendUint32(nil, 1)
	body = sftp.AppendString(sftp.AppendString(body, name), name)
	return sftp.Name, sftp.Attributes{}.Append(body), nil
}

func (s *session) onTwo(a *arguments, call func(from, to place) error) error {
	one, other := a.text(), a.text()
	if a.err != nil {
		return a.err
	}
	p, q, done, err := s.locateTwo(one, other)
	if err != nil {
		return err
	}
	defer done()
	return call(p, q)
}

// rename moves something. With RENAME_NOREPLACE what has the new name stays.
func (s *session) rename(a *arguments, flags uint) error {
	return s.onTwo(a, func(from, to place) error {
		err := unix.Renameat2(from.directory, from.name, to.directory, to.name, flags)
		if flags == 0 || !errors.Is(err, unix.EINVAL) {
			return err
		}
		var st unix.Stat_t // a file system that does not know the flag
		if unix.Fstatat(to.directory, to.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			return unix.EEXIST
		}
		return unix.Renameat(from.directory, from.name, to.directory, to.name)
	})
}

// hardlink gives a file another name; a link gets one itself, and is not followed.
func (s *session) hardlink(a *arguments) error {
	return s.onTwo(a, func(from, to place) error { return unix.Linkat(from.directory, from.name, to.directory, to.name, 0) })
}
