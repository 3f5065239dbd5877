// Package sftpd is the SFTP server (version 3, with OpenSSH's extensions) of sessions that are for one directory, the share, and for nothing else.
//
// It promises that no request reaches anything outside the directory: every path is resolved by the kernel below it, through no symbolic link and over no
// mount (lib/host/beneath). Who mounts the share resolves links itself, so none has to be followed here: attributes that are set on a link are the link's own, and the mode of
// one is left alone, as no file system has any. A file is made with exactly the mode that is asked for, as the umask that counts is the client's. Devices are not opened.
// Whoever has a session may do all that root may within the share.
//
// Requests are carried out one after the other, in the order in which they come, and answered in that order. Whoever wants to know what the codes of errors are: as OpenSSH's,
// with the errno's text beside the code.
package sftpd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"hafs/lib/client/sftp"
	"hafs/lib/host/beneath"
)

const (
	version = 3
	// batch is how much is read and written at once: a message of a large file, and a good many small ones.
	batch = 64 << 10
)

// Server serves sessions.
type Server struct {
	// Failed hears the error of a request before it is answered. An error of its own ends the session, and the request is not answered. It may be nil.
	Failed func(error) error
	// Room is how many bytes may be written at most, whatever this file system has room for; false: that is not known. It may be nil.
	Room func() (bytes uint64, known bool)
}

// session is one client's.
type session struct {
	Server
	directory string // as the client names it
	root      int
	handles   map[string]handle
	counter   uint32 // names handles
	unmasked  beneath.Unmasked
	content   []byte // of the newest READ
}

// Serve serves one client that knows a directory by its name. It ends with the client's side, without an error, or after the request that is under way when ctx
// ends.
func (server Server) Serve(ctx context.Context, directory string, in io.Reader, out io.Writer) error {
	root, err := unix.Open(directory, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", directory, err)
	}
	defer unix.Close(root)
	s := session{Server: server, directory: directory, root: root, handles: map[string]handle{}}
	defer s.end()
	reader, writer := bufio.NewReaderSize(in, batch), bufio.NewWriterSize(out, batch)
	if err := greet(reader, writer); err != nil {
		return err
	}
	var request sftp.Packet // one buffer for all: what outlives a request is copied out of it
	for ctx.Err() == nil {
		if !whole(reader) { // whoever waits for the answers gets them before this waits for requests
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		p, err := sftp.ReadPacketInto(reader, request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		if err := s.answer(writer, p); err != nil {
			return err
		}
		if request = p; cap(request) > 2*packetAtMost { // the largest that anybody has to send
			request = nil
		}
	}
	return ctx.Err()
}

// whole says whether a request can be read without waiting.
func whole(r *bufio.Reader) bool {
	if r.Buffered() < 4 {
		return false
	}
	length, err := r.Peek(4)
	return err == nil && r.Buffered() >= 4+int(binary.BigEndian.Uint32(length))
}

// extensions are those that are understood, with their versions.
var extensions = [][2]string{
	{"posix-rename@openssh.com", "1"}, {"statvfs@openssh.com", "2"}, {"fstatvfs@openssh.com", "2"}, {"hardlink@openssh.com", "1"},
	{"fsync@openssh.com", "1"}, {"lsetstat@openssh.com", "1"}, {"limits@openssh.com", "1"},
}

func greet(r io.Reader, w *bufio.Writer) error {
	p, err := sftp.ReadPacket(r)
	if errors.Is(err, io.EOF) {
		return nil // the loop sees it again
	}
	if err != nil {
		return err
	}
	if p.Kind() != sftp.Init {
		return fmt.Errorf("a session of SFTP begins with type %d", p.Kind())
	}
	var body []byte
	for _, e := range extensions {
		body = sftp.AppendString(sftp.AppendString(body, e[0]), e[1])
	}
	return sftp.WritePacket(w, sftp.NewPacket(sftp.Version, version, body))
}

// answer carries out one request.
func (s *session) answer(w *bufio.Writer, p sftp.Packet) error {
	kind, body, err := s.carryOut(p)
	if err != nil && s.Failed != nil {
		if end := s.Failed(err); end != nil {
			return end
		}
	}
	if kind == 0 || err != nil {
		return sftp.WritePacket(w, status(p.ID(), err))
	}
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 9), uint32(5+len(body)))
	if _, err := w.Write(binary.BigEndian.AppendUint32(append(head, kind), p.ID())); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// carryOut returns the answer's kind and body; 0 stands for a status, which the error tells.
func (s *session) carryOut(p sftp.Packet) (kind byte, body []byte, err error) {
	a := arguments{rest: p.Body()}
	switch p.Kind() {
	case sftp.Open:
		return s.open(&a)
	case sftp.Close:
		return 0, nil, s.close(&a)
	case sftp.Read:
		return s.read(&a)
	case sftp.Write:
		return 0, nil, s.write(&a)
	case sftp.Lstat, sftp.Stat:
		return s.lstat(&a)
	case sftp.Fstat:
		return s.fstat(&a)
	case sftp.Setstat:
		return 0, nil, s.setstat(&a)
	case sftp.Fsetstat:
		return 0, nil, s.fsetstat(&a)
	case sftp.Opendir:
		return s.opendir(&a)
	case sftp.Readdir:
		return s.readdir(&a)
	case sftp.Remove:
		return 0, nil, s.remove(&a, 0)
	case sftp.Rmdir:
		return 0, nil, s.remove(&a, unix.AT_REMOVEDIR)
	case sftp.Mkdir:
		return 0, nil, s.mkdir(&a)
	case sftp.Realpath:
		return s.realpath(&a)
	case sftp.Rename:
		return 0, nil, s.rename(&a, unix.RENAME_NOREPLACE)
	case sftp.Readlink:
		return s.readlink(&a)
	case sftp.Symlink:
		return 0, nil, s.symlink(&a)
	case sftp.Extended:
		return s.extended(&a)
	}
	return 0, nil, unix.ENOSYS
}

func (s *session) extended(a *arguments) (byte, []byte, error) {
	switch a.text() {
	case "posix-rename@openssh.com":
		return 0, nil, s.rename(a, 0)
	case "statvfs@openssh.com":
		return s.statvfs(a)
	case "fstatvfs@openssh.com":
		return s.fstatvfs(a)
	case "hardlink@openssh.com":
		return 0, nil, s.hardlink(a)
	case "fsync@openssh.com":
		return 0, nil, s.fsync(a)
	case "lsetstat@openssh.com":
		return 0, nil, s.setstat(a)
	case "limits@openssh.com":
		return limits()
	}
	if a.err != nil {
		return 0, nil, a.err
	}
	return 0, nil, unix.ENOSYS
}
