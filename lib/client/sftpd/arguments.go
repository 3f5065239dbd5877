package sftpd

import (
	"errors"

	"golang.org/x/sys/unix"

	"hafs/lib/client/sftp"
)

// arguments are taken from a request one after the other. The first that is not there is the error, and all that follow are empty.
type arguments struct {
	rest []byte
	err  error
}

func take[T any](a *arguments, cut func([]byte) (T, []byte, error)) (value T) {
	if a.err != nil {
		return value
	}
	value, a.rest, a.err = cut(a.rest)
	return value
}

func (a *arguments) text() string                { return take(a, sftp.CutString) }
func (a *arguments) number() uint32              { return take(a, sftp.CutUint32) }
func (a *arguments) long() uint64                { return take(a, sftp.CutUint64) }
func (a *arguments) attributes() sftp.Attributes { return take(a, sftp.ReadAttributes) }

// data is a string that is not copied.
func (a *arguments) data() []byte {
	n := a.number()
	if a.err == nil && uint64(n) > uint64(len(a.rest)) {
		a.err = errShort
	}
	if a.err != nil {
		return nil
	}
	return a.rest[:n]
}

var (
	errShort = errors.New("the request ends too early")
	errEnd   = errors.New("end of file")
)

// status is the answer that says how a request ended: OpenSSH's code, and the errno's own words.
func status(id uint32, err error) sftp.Packet {
	if err == nil {
		return sftp.StatusPacket(id, sftp.OK, "Success")
	}
	code := uint32(sftp.Failure)
	var errno unix.Errno
	switch {
	case errors.Is(err, errEnd):
		code = sftp.EOF
	case !errors.As(err, &errno):
		code = sftp.BadMessage
	default:
		switch errno {
		case unix.ENOENT, unix.ENOTDIR, unix.EBADF, unix.ELOOP:
			code = sftp.NoSuchFile
		case unix.EXDEV: // it would lead out of the share, or into a mount below it
			return sftp.StatusPacket(id, sftp.PermissionDenied, "not in the share")
		case unix.EPERM, unix.EACCES, unix.EFAULT:
			code = sftp.PermissionDenied
		case unix.ENAMETOOLONG, unix.EINVAL:
			code = sftp.BadMessage
		case unix.ENOSYS:
			code = sftp.Unsupported
		}
	}
	return sftp.StatusPacket(id, code, err.Error())
}
