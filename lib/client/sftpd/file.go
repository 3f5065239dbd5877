package sftpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hafs/lib/client/sftp"
)

const (
	// handlesAtMost keeps one client from taking the process's descriptors from all others.
	handlesAtMost = 4096
	// readAtMost and packetAtMost are OpenSSH's.
	packetAtMost = 256 << 10
	readAtMost   = packetAtMost - 1024
	// modeUnsaid is for a file whose client does not say (sshfs always does): what a umask of 022 makes of it.
	modeUnsaid          = 0o644
	modeUnsaidDirectory = 0o755
	modeBits            = 0o7777
)

// handle is something that a client has open. Names of handles are of one session: in another they are nothing.
type handle struct {
	file  *os.File
	names *listing // of a directory
}

func (s *session) keep(h handle) (byte, []byte, error) {
	s.counter++
	name := string(binary.BigEndian.AppendUint32(nil, s.counter))
	s.handles[name] = h
	return sftp.Handle, sftp.AppendString(nil, name), nil
}

// file finds what is behind a handle, which must be an open file; -1 and EBADF if it is not.
func (s *session) file(a *arguments) (int, error) {
	h, known := s.handles[a.text()]
	if a.err != nil {
		return -1, a.err
	}
	if !known || h.names != nil {
		return -1, unix.EBADF
	}
	return descriptor(h.file), nil
}

// descriptor does not change the file as Fd may.
func descriptor(f *os.File) (fd int) {
	fd = -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(d uintptr) { fd = int(d) })
	}
	return fd
}

// end closes what the client left open.
func (s *session) end() {
	for _, h := range s.handles {
		h.file.Close()
	}
	s.unmasked.Close()
}

func (s *session) close(a *arguments) error {
	name := a.text()
	if a.err != nil {
		return a.err
	}
	h, known := s.handles[name]
	if !known {
		return unix.EBADF
	}
	delete(s.handles, name)
	return h.file.Close()
}

func (s *session) open(a *arguments) (byte, []byte, error) {
	name, flags, attributes := a.text(), a.number(), a.attributes()
	if a.err != nil {
		return 0, nil, a.err
	}
	if len(s.handles) >= handlesAtMost {
		return 0, nil, unix.EMFILE
	}
	p, done, err := s.locate(name)
	if err != nil {
		return 0, nil, err
	}
	defer done()
	mode := uint32(modeUnsaid)
	if attributes.Flags&sftp.AttrPermissions != 0 {
		mode = attributes.Permissions & modeBits
	}
	fd, err := s.openAt(name, p, flags, mode)
	if err != nil {
		return 0, nil, err
	}
	return s.keep(handle{file: os.NewFile(uintptr(fd), name)})
}

// openAt opens a file that is there or makes it. Which of the two has to be said to the kernel each time, so that nothing is opened that was not looked at before.
func (s *session) openAt(name string, p place, flags, mode uint32) (fd int, err error) {
	how := how(flags)
	for {
		if flags&sftp.FlagCreate == 0 || flags&sftp.FlagExclusive == 0 {
			if fd, err = s.openExisting(name, how); flags&sftp.FlagCreate == 0 || !errors.Is(err, unix.ENOENT) {
				return fd, err
			}
		}
		err = s.unmasked.Do(func() (err error) {
			fd, err = unix.Openat(p.directory, p.name, how|unix.O_CREAT|unix.O_EXCL, mode)
			return err
		})
		if flags&sftp.FlagExclusive != 0 || !errors.Is(err, unix.EEXIST) { // EEXIST: somebody else made it meanwhile
			return fd, err
		}
	}
}

// openExisting opens a file or directory that was looked at first: opening a device may already do something, and a FIFO is waited for.
func (s *session) openExisting(name string, how int) (int, error) {
	fd, err := s.at(name)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return unix.Open(self(fd), how&^unix.O_NOFOLLOW, 0)
	case unix.S_IFLNK:
		return -1, unix.ELOOP
	}
	return -1, unix.ENXIO
}

// self leads through any descriptor to exactly what it is of, also through one that was only opened to name something (O_PATH), be it a symbolic link.
func self(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// how translates a client's flags, but for those that say whether a file is to be made.
func how(flags uint32) int {
	how := unix.O_RDONLY
	switch {
	case flags&sftp.FlagRead != 0 && flags&sftp.FlagWrite != 0:
		how = unix.O_RDWR
	case flags&sftp.FlagWrite != 0:
		how = unix.O_WRONLY
	}
	if flags&sftp.FlagTruncate != 0 {
		how |= unix.O_TRUNC
	}
	if flags&sftp.FlagAppend != 0 {
		how |= unix.O_APPEND
	}
	return how | unix.O_NOFOLLOW | unix.O_NOCTTY | unix.O_CLOEXEC
}

func (s *session) read(a *arguments) (byte, []byte, error) {
	fd, err := s.file(a)
	offset, length := a.long(), a.number()
	if err = errors.Join(err, a.err); err != nil {
		return 0, nil, err
	}
	if s.content == nil {
		s.content = make([]byte, 4+readAtMost)
	}
	body := s.content[:4+min(length, readAtMost)]
	n, err := unix.Pread(fd, body[4:], int64(offset))
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, errEnd
	}
	binary.BigEndian.PutUint32(body, uint32(n))
	return sftp.Data, body[:4+n], nil
}

func (s *session) write(a *arguments) error {
	fd, err := s.file(a)
	offset, data := a.long(), a.data()
	if err = errors.Join(err, a.err); err != nil {
		return err
	}
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, int64(offset)) // appends, whatever the offset, to a file that was opened so
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+uint64(n)
	}
	return nil
}

func (s *session) fsync(a *arguments) error {
	fd, err := s.file(a)
	if err != nil {
		return err
	}
	return unix.Fsync(fd)
}
