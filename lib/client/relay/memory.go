package relay

import (
	"strings"

	"hafs/lib/client/sftp"
)

// How much of what was acknowledged is remembered. A handle beyond either bound is given up: on the next server it is dead.
const (
	memoryPerHandle = 1 << 20
	memoryInAll     = 32 << 20 // of one client's session
	changeOverhead  = 64       // what remembering costs, beside the request itself
)

// change is an acknowledged request that changed an open file. Servers answer in the order in which they carry out.
type change struct {
	at     uint64 // its place among all changes of all files
	packet sftp.Packet
}

// remember keeps an acknowledged change of a file until it is closed.
func (r *relay) remember(h *handle, p sftp.Packet) {
	r.counter++
	h.last = r.counter
	if h.forgotten || h.dead || h.nameless {
		return
	}
	cost := len(p) + changeOverhead
	if h.remembered+cost > memoryPerHandle || r.remembered+cost > memoryInAll {
		r.giveUp(h)
		return
	}
	h.changes = append(h.changes, change{r.counter, p})
	h.remembered += cost
	r.remembered += cost
}

// rememberByName keeps attributes that were set by a file's name with the handle that has the file open: chmod and chown come that way.
func (r *relay) rememberByName(p sftp.Packet) {
	path, attributes, err := sftp.CutString(p.Body())
	if err != nil {
		return
	}
	for name, h := range r.handles {
		if h.path == path && h.writes() && !h.nameless {
			r.remember(h, sftp.NewPacket(sftp.Fsetstat, 0, append(sftp.AppendString(nil, name), attributes...)))
			return
		}
	}
}

// drop frees what is remembered of a file.
func (r *relay) drop(h *handle) {
	r.remembered -= h.remembered
	h.changes, h.remembered = nil, 0
}

func (r *relay) giveUp(h *handle) {
	r.drop(h)
	h.forgotten = true
}

// bury marks a handle that is of no use on the new server.
func (r *relay) bury(h *handle) {
	r.drop(h)
	h.dead = true
}

// forget ends a handle. Other handles of the same file must not bring back the time before its changes, which are not remembered any more:
// they do not empty the file again, and one that has older changes cannot be reproduced.
func (r *relay) forget(name string) {
	h := r.handles[name]
	if h == nil {
		return
	}
	delete(r.handles, name)
	r.drop(h)
	for _, o := range r.handles {
		if o.path != h.path || o.directory || h.nameless || o.nameless {
			continue
		}
		if h.last > o.opened {
			o.flags &^= sftp.FlagCreate | sftp.FlagTruncate | sftp.FlagExclusive
		}
		if len(o.changes) > 0 && h.last > o.changes[0].at {
			r.giveUp(o)
		}
	}
}

// followName keeps up with what a carried out request did to the names of open files. Only a file that is written to must keep its name:
// another file of that name is not to be overwritten.
func (r *relay) followName(p sftp.Packet) {
	body := p.Body()
	if p.Kind() == sftp.Extended {
		_, body, _ = sftp.CutString(body) // posix-rename, hardlink and others begin alike
		if !wasCarriedOut(p) {
			return
		}
	}
	from, rest, err := sftp.CutString(body)
	if err != nil {
		return
	}
	to := ""
	if p.Kind() == sftp.Rename || p.Kind() == sftp.Extended {
		if to, _, err = sftp.CutString(rest); err != nil || to == from {
			return
		}
	}
	for _, h := range r.handles {
		inside, below := strings.CutPrefix(h.path, from+"/")
		switch {
		case h.path == to && to != "", h.path == from && to == "":
			if h.writes() && !h.nameless {
				h.nameless = true
				r.drop(h)
			}
		case h.nameless || to == "":
		case h.path == from:
			h.path = to
		case below:
			h.path = to + "/" + inside
		}
	}
}
