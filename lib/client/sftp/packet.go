// Package sftp reads and writes the messages of SFTP version 3 (draft-ietf-secsh-filexfer-02, with OpenSSH's extensions) as far as somebody who
// stands between a client and a server has to understand them. It is pure but for the two functions that move whole messages.
package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Types of messages.
const (
	Init     = 1
	Version  = 2
	Open     = 3
	Close    = 4
	Read     = 5
	Write    = 6
	Lstat    = 7
	Fstat    = 8
	Setstat  = 9
	Fsetstat = 10
	Opendir  = 11
	Readdir  = 12
	Remove   = 13
	Mkdir    = 14
	Rmdir    = 15
	Realpath = 16
	Stat     = 17
	Rename   = 18
	Readlink = 19
	Symlink  = 20
	Status   = 101
	Handle   = 102
	Data     = 103
	Name     = 104
	Attrs    = 105
	Extended = 200
	Reply    = 201 // to an Extended
)

// Codes of a Status.
const (
	OK               = 0
	EOF              = 1
	NoSuchFile       = 2
	PermissionDenied = 3
	Failure          = 4
	BadMessage       = 5
	Unsupported      = 8
	// Of later versions: a client of version 3 takes them for an I/O error, as sshfs does (EIO).
	WriteProtected  = 12
	NoMedia         = 13
	NoSpace         = 14
	QuotaExceeded   = 15
	InvalidFilename = 20
)

// Flags of an Open.
const (
	FlagRead      = 0x01
	FlagWrite     = 0x02
	FlagAppend    = 0x04
	FlagCreate    = 0x08
	FlagTruncate  = 0x10
	FlagExclusive = 0x20
)

const (
	maxPacket    = 1 << 20 // OpenSSH's limit is a quarter of this
	headerLength = 5       // type and id
)

// byHandle are the extensions whose first argument is a handle.
const byHandle = " fsync@openssh.com fstatvfs@openssh.com "

// Packet is one message without its length: type, id, body. Init and Version have a version in the place of the id.
type Packet []byte

// Kind is the message's type.
func (p Packet) Kind() byte { return p[0] }

// ID ties an answer to its request.
func (p Packet) ID() uint32 { return binary.BigEndian.Uint32(p[1:]) }

// Body is what follows the id.
func (p Packet) Body() []byte { return p[headerLength:] }

// ReadPacket reads one message.
func ReadPacket(r io.Reader) (Packet, error) { return ReadPacketInto(r, nil) }

// ReadPacketInto reads one message into a buffer, if that is large enough.
func ReadPacketInto(r io.Reader, buffer []byte) (Packet, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < headerLength || n > maxPacket {
		return nil, fmt.Errorf("SFTP packet of %d bytes", n)
	}
	p := Packet(buffer[:0])
	if uint32(cap(p)) < n {
		p = make(Packet, n)
	}
	p = p[:n]
	_, err := io.ReadFull(r, p)
	return p, err
}

// WritePacket writes one message in one piece.
func WritePacket(w io.Writer, p Packet) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(p)), uint32(len(p))), p...))
	return err
}

// NewPacket puts a message together.
func NewPacket(kind byte, id uint32, body []byte) Packet {
	p := binary.BigEndian.AppendUint32(Packet{kind}, id)
	return append(p, body...)
}

// StatusPacket is an answer that says how a request ended.
func StatusPacket(id uint32, code uint32, text string) Packet {
	body := binary.BigEndian.AppendUint32(nil, code)
	body = AppendString(body, text)
	return NewPacket(Status, id, AppendString(body, ""))
}

// StatusCode is the code of a Status; anything else, or half of one, is a failure.
func (p Packet) StatusCode() uint32 {
	if p.Kind() != Status || len(p.Body()) < 4 {
		return Failure
	}
	return binary.BigEndian.Uint32(p.Body())
}

// AppendString adds a string with its length.
func AppendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

var errShort = errors.New("SFTP packet ends too early")

// CutString takes a string from the front.
func CutString(b []byte) (s string, rest []byte, err error) {
	if len(b) < 4 {
		return "", nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(len(b)) < 4+uint64(n) {
		return "", nil, errShort
	}
	return string(b[4 : 4+n]), b[4+n:], nil
}

// CutUint32 takes a number from the front.
func CutUint32(b []byte) (uint32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, errShort
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

// HandleOf finds where a request names a handle: the name, and the offset of that string in the body, or -1.
func HandleOf(p Packet) (name string, at int) {
	switch p.Kind() {
	case Close, Read, Write, Fstat, Fsetstat, Readdir:
	case Extended:
		extension, _, err := CutString(p.Body())
		if err != nil || !strings.Contains(byHandle, " "+extension+" ") {
			return "", -1
		}
		at = 4 + len(extension)
	default:
		return "", -1
	}
	name, _, err := CutString(p.Body()[at:])
	if err != nil {
		return "", -1
	}
	return name, at
}
