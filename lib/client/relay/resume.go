package relay

import (
	"cmp"
	"encoding/binary"
	"io"
	"slices"

	"hafs/lib/client/sftp"
)

// resume brings a new server to where the client is: files open and as they were acknowledged, unanswered requests asked again in their order.
// An error means that the server broke off.
func (r *relay) resume(server io.ReadWriteCloser) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.story() {
		if s.handle.dead {
			continue
		}
		var err error
		if s.change == nil {
			err = r.openOn(server, s.handle)
		} else {
			err = r.redo(server, s.handle, s.change)
		}
		if err != nil {
			return err
		}
	}
	r.server = newOutbox(server)
	var answers []sftp.Packet
	kept := r.pending[:0]
	for _, q := range r.pending {
		q.again = true
		if name, at := sftp.HandleOf(q.packet); at >= 0 && (r.handles[name] == nil || r.handles[name].dead) {
			answers = append(answers, sftp.StatusPacket(q.packet.ID(), sftp.Failure, textLost))
			if q.packet.Kind() == sftp.Close {
				r.forget(name)
			}
			continue
		}
		kept = append(kept, q)
	}
	r.pending = kept
	for _, q := range kept {
		r.send(q)
	}
	for _, a := range answers {
		if err := r.reply(a); err != nil {
			return nil // the client's reader will notice
		}
	}
	return nil
}

// step is a thing to do on a new server.
type step struct {
	at     uint64
	handle *handle
	change sftp.Packet // nil: open it
}

// story is what happened to the open files, in its order: of two handles of one file, the one that was opened later may have emptied it.
func (r *relay) story() []step {
	var story []step
	for _, h := range r.handles {
		story = append(story, step{h.opened, h, nil})
		for _, c := range h.changes {
			story = append(story, step{c.at, h, c.packet})
		}
	}
	slices.SortFunc(story, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return story
}

// openOn opens a file or directory again. One that cannot be opened is dead.
func (r *relay) openOn(server io.ReadWriter, h *handle) error {
	for _, p := range h.openings() {
		answer, err := askNow(server, p)
		if err != nil {
			return err
		}
		if answer.Kind() == sftp.Handle {
			h.again = true
			h.server, _, err = sftp.CutString(answer.Body())
			return err
		}
	}
	r.bury(h)
	return nil
}

// redo carries out a change again. If the new server cannot, the file there is not what the client was told.
func (r *relay) redo(server io.ReadWriter, h *handle, p sftp.Packet) error {
	_, at := sftp.HandleOf(p)
	answer, err := askNow(server, withHandle(p, at, h.server))
	if err != nil || answer.StatusCode() == sftp.OK {
		return err
	}
	r.bury(h)
	_, err = askNow(server, sftp.NewPacket(sftp.Close, 0, sftp.AppendString(nil, h.server)))
	return err
}

// askNow asks a server that nobody else asks yet.
func askNow(server io.ReadWriter, p sftp.Packet) (sftp.Packet, error) {
	p = append(sftp.Packet{}, p...)
	binary.BigEndian.PutUint32(p[1:], 0)
	if err := sftp.WritePacket(server, p); err != nil {
		return nil, err
	}
	return sftp.ReadPacket(server)
}
