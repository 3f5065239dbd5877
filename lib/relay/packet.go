package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packet types of SFTP version 3 (draft-ietf-secsh-filexfer-02) that the relay has to tell apart.
const (
	typeInit     = 1
	typeVersion  = 2
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeFstat    = 8
	typeSetstat  = 9
	typeFsetstat = 10
	typeOpendir  = 11
	typeReaddir  = 12
	typeRemove   = 13
	typeRmdir    = 15
	typeRename   = 18
	typeStatus   = 101
	typeHandle   = 102
	typeName     = 104
	typeExtended = 200
)

const (
	statusOK          = 0
	statusEOF         = 1
	statusNoSuchFile  = 2
	statusFailure     = 4
	flagWrite         = 0x02
	flagAppend        = 0x04
	flagCreate        = 0x08
	flagTruncate      = 0x10
	flagExclusive     = 0x20
	attrSize          = 0x01
	attrUIDGID        = 0x02
	attrPermissions   = 0x04
	attrTimes         = 0x08
	attrExtended      = 0x80000000
	maxPacket         = 1 << 20 // OpenSSH's limit is a quarter of this
	headerLength      = 5       // type and id
	extensionByHandle = "fsync@openssh.com fstatvfs@openssh.com"
)

// packet is one SFTP message without its length: type, id, body. INIT and VERSION have a version in the place of the id.
type packet []byte

func (p packet) kind() byte   { return p[0] }
func (p packet) id() uint32   { return binary.BigEndian.Uint32(p[1:]) }
func (p packet) body() []byte { return p[headerLength:] }

func readPacket(r io.Reader) (packet, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < headerLength || n > maxPacket {
		return nil, fmt.Errorf("SFTP packet of %d bytes", n)
	}
	p := make(packet, n)
	_, err := io.ReadFull(r, p)
	return p, err
}

func writePacket(w io.Writer, p packet) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(p)), uint32(len(p))), p...))
	return err
}

func newPacket(kind byte, id uint32, body []byte) packet {
	p := binary.BigEndian.AppendUint32(packet{kind}, id)
	return append(p, body...)
}

func statusPacket(id uint32, code uint32, text string) packet {
	body := binary.BigEndian.AppendUint32(nil, code)
	body = appendString(body, text)
	return newPacket(typeStatus, id, appendString(body, ""))
}

func (p packet) statusCode() uint32 {
	if p.kind() != typeStatus || len(p.body()) < 4 {
		return statusFailure
	}
	return binary.BigEndian.Uint32(p.body())
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

var errShort = errors.New("SFTP packet ends too early")

func cutString(b []byte) (s string, rest []byte, err error) {
	if len(b) < 4 {
		return "", nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(len(b)) < 4+uint64(n) {
		return "", nil, errShort
	}
	return string(b[4 : 4+n]), b[4+n:], nil
}

func cutUint32(b []byte) (uint32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, errShort
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

// cutAttributes skips one attribute block.
func cutAttributes(b []byte) ([]byte, error) {
	flags, b, err := cutUint32(b)
	if err != nil {
		return nil, err
	}
	skip := 0
	for flag, size := range map[uint32]int{attrSize: 8, attrUIDGID: 8, attrPermissions: 4, attrTimes: 8} {
		if flags&flag != 0 {
			skip += size
		}
	}
	if len(b) < skip {
		return nil, errShort
	}
	b = b[skip:]
	if flags&attrExtended == 0 {
		return b, nil
	}
	n, b, err := cutUint32(b)
	for ; err == nil && n > 0; n-- {
		if _, b, err = cutString(b); err == nil {
			_, b, err = cutString(b)
		}
	}
	return b, err
}
