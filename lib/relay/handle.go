package relay

import (
	"encoding/binary"
	"strings"
)

// handle is an open file or directory of the client. The client knows it by a name of the relay's, which outlives the servers that hold
// the file open for it.
type handle struct {
	server    string          // the current server's name for it
	reopen    packet          // the OPEN or OPENDIR that opens it again on another server, with the id still to be set
	delivered map[string]bool // directory: names the client has seen
	again     bool            // directory: opened again in the middle of a listing, so names may come twice
	dead      bool            // it could not be opened again
}

// reopening is the request that opens a file again after a change of server: what the first opening did to the file must not be done twice.
func reopening(p packet) packet {
	if p.kind() != typeOpen {
		return p
	}
	path, rest, err := cutString(p.body())
	if err != nil {
		return p
	}
	flags, attributes, err := cutUint32(rest)
	if err != nil {
		return p
	}
	flags &^= flagCreate | flagTruncate | flagExclusive
	body := appendString(nil, path)
	body = binary.BigEndian.AppendUint32(body, flags)
	return newPacket(typeOpen, 0, append(body, attributes...))
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
