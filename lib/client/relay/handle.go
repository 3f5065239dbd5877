package relay

import (
	"encoding/binary"
	"slices"

	"hafs/lib/client/sftp"
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
func newHandle(p sftp.Packet, server string, at uint64) *handle {
	h := &handle{server: server, directory: p.Kind() == sftp.Opendir, opened: at, delivered: map[string]bool{}}
	path, rest, err := sftp.CutString(p.Body())
	if err != nil {
		return h
	}
	h.path = path
	if h.flags, h.attributes, err = sftp.CutUint32(rest); err != nil || h.directory {
		h.flags, h.attributes = 0, nil
	}
	if !h.writes() {
		h.flags &^= sftp.FlagCreate | sftp.FlagTruncate | sftp.FlagExclusive
	}
	if h.replaces() {
		h.last = at
	}
	return h
}

// writes says whether the file can be changed through the handle.
func (h *handle) writes() bool { return h.flags&sftp.FlagWrite != 0 }

// replaces says whether the OPEN left the file empty, so that all its content stems from this handle.
func (h *handle) replaces() bool {
	return h.flags&sftp.FlagTruncate != 0 || h.flags&sftp.FlagCreate != 0 && h.flags&sftp.FlagExclusive != 0
}

// openings are the requests that open the file again on another server, to be tried in this order; none: it cannot be reproduced there.
// A file that was appended to is opened anew or not at all, for its replica may or may not have what was appended.
func (h *handle) openings() []sftp.Packet {
	switch {
	case h.forgotten || h.nameless:
		return nil
	case h.directory:
		return []sftp.Packet{sftp.NewPacket(sftp.Opendir, 0, sftp.AppendString(nil, h.path))}
	case h.replaces():
		return []sftp.Packet{h.opening(h.flags&^sftp.FlagExclusive | sftp.FlagTruncate)}
	case h.flags&sftp.FlagAppend == 0 || !h.writes():
		return []sftp.Packet{h.opening(h.flags)}
	}
	var tries []sftp.Packet
	if h.flags&sftp.FlagCreate != 0 {
		tries = append(tries, h.opening(h.flags|sftp.FlagExclusive))
	}
	if !slices.ContainsFunc(h.changes, func(c change) bool { return c.packet.Kind() == sftp.Write }) {
		tries = append(tries, h.opening(h.flags&^sftp.FlagCreate))
	}
	return tries
}

func (h *handle) opening(flags uint32) sftp.Packet {
	body := sftp.AppendString(nil, h.path)
	body = binary.BigEndian.AppendUint32(body, flags)
	return sftp.NewPacket(sftp.Open, 0, append(body, h.attributes...))
}

// withHandle is the request with another name for its handle.
func withHandle(p sftp.Packet, at int, name string) sftp.Packet {
	old, rest, err := sftp.CutString(p.Body()[at:])
	if err != nil || old == name {
		return p
	}
	body := append([]byte{}, p.Body()[:at]...)
	body = sftp.AppendString(body, name)
	return sftp.NewPacket(p.Kind(), p.ID(), append(body, rest...))
}

// filterNames takes names the client has seen out of a listing that was begun anew on another server, and remembers the rest. ok is false
// when nothing new is left.
func (h *handle) filterNames(p sftp.Packet) (out sftp.Packet, ok bool) {
	count, rest, err := sftp.CutUint32(p.Body())
	if err != nil {
		return p, true
	}
	body, kept := []byte(nil), uint32(0)
	for range count {
		entry := rest
		var name string
		if name, rest, err = sftp.CutString(rest); err == nil {
			_, rest, err = sftp.CutString(rest)
		}
		if err == nil {
			rest, err = sftp.CutAttributes(rest)
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
	return sftp.NewPacket(sftp.Name, p.ID(), append(binary.BigEndian.AppendUint32(nil, kept), body...)), kept > 0
}
