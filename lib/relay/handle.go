package relay

import (
	"encoding/binary"
	"slices"
	"strings"
)

// handle is an open file or directory of the client. The client knows it by a name of the relay's, which outlives the servers that hold
// the file open for it.
type handle struct {
	server     string          // the current server's name for it
	path       string          // where the file is now, as far as this client's own renames say
	directory  bool            // opened with OPENDIR
	flags      uint32          // of the OPEN, less what must not be done again
	attributes []byte          // of the OPEN
	opened     uint64          // place of the OPEN among all changes
	delivered  map[string]bool // directory: names the client has seen
	again      bool            // directory: opened again in the middle of a listing, so names may come twice
	dead       bool            // it could not be opened again

	changes    []change // acknowledged since the file was opened
	remembered int      // bytes they are counted as
	last       uint64   // place of the last change, remembered or not; 0: none
	nameless   bool     // the file was removed or replaced under its name
	forgotten  bool     // its changes are not remembered any more, so it is dead on the next server
}

// newHandle is what an OPEN or OPENDIR that was answered with the server's name for it opened.
func newHandle(p packet, server string, at uint64) *handle {
	h := &handle{server: server, directory: p.kind() == typeOpendir, opened: at, delivered: map[string]bool{}}
	path, rest, err := cutString(p.body())
	if err != nil {
		return h
	}
	h.path = path
	if h.flags, h.attributes, err = cutUint32(rest); err != nil || h.directory {
		h.flags, h.attributes = 0, nil
	}
	if !h.writes() {
		h.flags &^= flagCreate | flagTruncate | flagExclusive
	}
	if h.replaces() {
		h.last = at
	}
	return h
}

// writes says whether the file can be changed through the handle.
func (h *handle) writes() bool { return h.flags&flagWrite != 0 }

// replaces says whether the OPEN left the file empty, so that all its content stems from this handle.
func (h *handle) replaces() bool {
	return h.flags&flagTruncate != 0 || h.flags&flagCreate != 0 && h.flags&flagExclusive != 0
}

// openings are the requests that open the file again on another server, to be tried in this order; none: it cannot be reproduced there.
// A file that was appended to is opened anew or not at all, for its replica may or may not have what was appended.
func (h *handle) openings() []packet {
	switch {
	case h.forgotten || h.nameless:
		return nil
	case h.directory:
		return []packet{newPacket(typeOpendir, 0, appendString(nil, h.path))}
	case h.replaces():
		return []packet{h.opening(h.flags&^flagExclusive | flagTruncate)}
	case h.flags&flagAppend == 0 || !h.writes():
		return []packet{h.opening(h.flags)}
	}
	var tries []packet
	if h.flags&flagCreate != 0 {
		tries = append(tries, h.opening(h.flags|flagExclusive))
	}
	if !slices.ContainsFunc(h.changes, func(c change) bool { return c.packet.kind() == typeWrite }) {
		tries = append(tries, h.opening(h.flags&^flagCreate))
	}
	return tries
}

func (h *handle) opening(flags uint32) packet {
	body := appendString(nil, h.path)
	body = binary.BigEndian.AppendUint32(body, flags)
	return newPacket(typeOpen, 0, append(body, h.attributes...))
}

// handleOf finds where a request names a handle: the offset of that string in the body, or -1.
func handleOf(p packet) (name string, at int) {
	at = 0
	switch p.kind() {
	case typeClose, typeRead, typeWrite, typeFstat, typeFsetstat, typeReaddir:
	case typeExtended:
		extension, _, err := cutString(p.body())
		if err != nil || !strings.Contains(" "+extensionByHandle+" ", " "+extension+" ") {
			return "", -1
		}
		at = 4 + len(extension)
	default:
		return "", -1
	}
	name, _, err := cutString(p.body()[at:])
	if err != nil {
		return "", -1
	}
	return name, at
}

// withHandle is the request with another name for its handle.
func withHandle(p packet, at int, name string) packet {
	old, rest, err := cutString(p.body()[at:])
	if err != nil || old == name {
		return p
	}
	body := append([]byte{}, p.body()[:at]...)
	body = appendString(body, name)
	return newPacket(p.kind(), p.id(), append(body, rest...))
}

// filterNames takes names the client has seen out of a listing that was begun anew on another server, and remembers the rest. ok is false
// when nothing new is left.
func (h *handle) filterNames(p packet) (out packet, ok bool) {
	count, rest, err := cutUint32(p.body())
	if err != nil {
		return p, true
	}
	body, kept := []byte(nil), uint32(0)
	for range count {
		entry := rest
		var name string
		if name, rest, err = cutString(rest); err == nil {
			_, rest, err = cutString(rest)
		}
		if err == nil {
			rest, err = cutAttributes(rest)
		}
		if err != nil {
			return p, true
		}
		if h.again && h.delivered[name] {
			continue
		}
		h.delivered[name] = true
		body, kept = append(body, entry[:len(entry)-len(rest)]...), kept+1
	}
	if !h.again {
		return p, true
	}
	return newPacket(typeName, p.id(), append(binary.BigEndian.AppendUint32(nil, kept), body...)), kept > 0
}
