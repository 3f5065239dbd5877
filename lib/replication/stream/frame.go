// Package stream carries steps to a replica over one kept stream of bytes, and carries them out there.
//
// The sender decides and the receiver is dumb. A Session asks what the replica has and sends steps; a Receiver answers, and does the steps
// locally through package tree. The stream may be anything that keeps the order of bytes: a session of SSH, a pipe.
//
// It promises that nothing but whole frames with the right checksum is acted on; that a receiver touches nothing outside its directory,
// whatever it is sent; that every file is whole at every moment, wherever the stream is cut, but for one that is changed in place (see inplace.go); that a
// batch is answered with "ok" only after all of it was done and the receiver was still allowed to; that both sides need bounded memory, whatever the size of the share; and that only one session works on a
// replica at a time. What it does not do: encrypt, authenticate, or decide who may send (the caller of Serve does, and Allowed).
//
// frame.go, message.go and entry.go are pure: frames, and what is in them. session.go is the sender's side, batch.go its batches. serve.go is the
// receiver's, answer.go looks, carry.go, content.go and inplace.go do the steps.
package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Version is the newest version of the protocol that is spoken here, Oldest the oldest. Both sides speak the newest that both know, so that servers
// can be upgraded one after the other.
const (
	Version = 5 // a receiver tells what was done lately; from 4 on problems name their steps, and a receiver that works on says so; from 3 on files may be changed in place
	Oldest  = 2
)

// kind is what a frame is.
type kind byte

// The first frame of each side has kind hello or welcome in every version. Hello starts with the newest and the oldest version that the sender
// speaks, welcome with the version that is spoken.
const (
	kindHello   kind = 1 + iota // sender: who it is
	kindWelcome                 // receiver: who it is
	kindLook                    // sender: what have you at these paths?
	kindList                    // sender: list what is below this directory
	kindEntries                 // receiver: part of an answer to look or list
	kindHashes                  // sender: what are the hashes of this file's blocks? Also within a batch
	kindBlocks                  // receiver: part of the answer
	kindMove                    // sender: rename this, outside of a batch
	kindMoved                   // receiver: whether it did
	kindBegin                   // sender: a batch begins
	kindEnd                     // sender: it ends, with the position it leads to
	kindResult                  // receiver: what became of it
	kindFull                    // receiver, within a batch: there is no room, send no more content
	kindRefusal                 // receiver: why it ends the session
	kindData                    // sender: part of a file's content
	kindHole                    // sender: the next part of its content is none: zeros that take no room
	kindAgain                   // sender of version 2: the file changed, its content starts over
	kindDone                    // sender: the file's content is complete
	kindGiveUp                  // sender: the file cannot be read
	kindStep                    // sender: this and what follows are steps: kindStep + Op
)

// kindBusy is the receiver's, from version 4 on: it still carries out what was sent. It comes while the result is waited for, and says nothing else.
const kindBusy kind = 0x40

// From version 5 on.
const (
	kindSince   kind = 0x41 // sender: what was done to you since this position?
	kindHistory kind = 0x42 // receiver: this, or that it is not known
)

// maxBody bounds a frame, so that a damaged length cannot demand any amount of memory.
const maxBody = 1 << 20

const (
	lengthBytes   = 4
	checksumBytes = 4
)

type frame struct {
	kind kind
	body []byte
}

var (
	// ErrFrame means that what arrived is no frame, or a damaged one.
	ErrFrame   = errors.New("damaged frame")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// appendFrame writes the length of kind and body, both, and their CRC32C.
func appendFrame(b []byte, k kind, body ...[]byte) []byte {
	n := 1
	for _, part := range body {
		n += len(part)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	start := len(b)
	b = append(b, byte(k))
	for _, part := range body {
		b = append(b, part...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// readFrame reads one frame. Between frames the end of the stream is io.EOF.
func readFrame(r io.Reader) (frame, error) {
	var buffer []byte
	return readFrameInto(r, &buffer)
}

// readFrameInto is readFrame with a buffer that is used again: what was read before is gone.
func readFrameInto(r io.Reader, buffer *[]byte) (frame, error) {
	var length [lengthBytes]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it ends within its length", ErrFrame)
		}
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > 1+maxBody {
		return frame{}, fmt.Errorf("%w: a length of %d bytes, of at most %d", ErrFrame, n, 1+maxBody)
	}
	if cap(*buffer) < int(n+checksumBytes) {
		*buffer = make([]byte, n+checksumBytes)
	}
	b := (*buffer)[:n+checksumBytes]
	if _, err := io.ReadFull(r, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the stream ends within it", ErrFrame)
		}
		return frame{}, err
	}
	if sum := crc32.Checksum(b[:n], castagnoli); sum != binary.BigEndian.Uint32(b[n:]) {
		return frame{}, fmt.Errorf("%w: wrong checksum", ErrFrame)
	}
	return frame{kind(b[0]), b[1:n]}, nil
}
