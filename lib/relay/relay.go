// Package relay keeps an SFTP client's session alive while the server behind it changes.
//
// The client (sshfs) talks to the relay; the relay talks to whoever serves the share now. When that server is lost or replaced, the relay
// connects to the next one, opens again what the client has open, and asks again what was not answered. Programs see a pause
// and no error. What it does not promise: a write the lost server acknowledged and never passed on is gone (acknowledgement is
// the mirror's business), and a file that the next server does not have gives an error on its open handles, not an empty file.
//
// Asking again is safe because SFTP requests name absolute offsets and paths. Four can have happened before: a REMOVE, RMDIR or RENAME that is
// asked again and finds nothing has been carried out (the kernel looked the name up before it asked), so it is answered with
// success; a creation that must be exclusive is answered as the next server says.
package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Connect opens a session with whoever serves the share now. It waits as long as it takes; only the end of ctx is an error. The
// session must break (reads end) when another server takes over.
type Connect func(ctx context.Context) (io.ReadWriteCloser, error)

type relay struct {
	client  io.Writer
	connect Connect

	mu      sync.Mutex
	server  *outbox    // nil while there is none
	pending []*request // in the order the client asked
	handles map[string]*handle
	counter uint64
	writing sync.Mutex // of the client's side
}

type request struct {
	packet packet
	again  bool // asked on an earlier server too
}

// Run relays until the client ends its side or ctx ends.
func Run(ctx context.Context, client io.ReadWriter, connect Connect) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := readPacket(client)
	if err != nil {
		return err
	}
	if first.kind() != typeInit {
		return fmt.Errorf("expected SFTP INIT, got type %d", first.kind())
	}
	r := &relay{client: client, connect: connect, handles: map[string]*handle{}}
	server, version, err := r.dial(ctx, first)
	if err != nil {
		return err
	}
	if err := r.reply(version); err != nil {
		return err
	}
	r.server = newOutbox(server)
	done := make(chan error, 2)
	go func() { done <- r.serve(ctx, server, first) }()
	go func() { done <- r.listen(client) }()
	err = <-done
	cancel()
	r.mu.Lock()
	if r.server != nil {
		r.server.close()
	}
	r.mu.Unlock()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// dial connects and greets; a server that breaks off in the greeting is tried again.
func (r *relay) dial(ctx context.Context, greeting packet) (io.ReadWriteCloser, packet, error) {
	for {
		server, err := r.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		if err = writePacket(server, greeting); err == nil {
			var version packet
			if version, err = readPacket(server); err == nil && version.kind() == typeVersion {
				return server, version, nil
			}
		}
		server.Close()
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
}

// listen takes the client's requests.
func (r *relay) listen(client io.Reader) error {
	for {
		p, err := readPacket(client)
		if err != nil {
			return err
		}
		if err := r.ask(&request{packet: p}); err != nil {
			return err
		}
	}
}

// ask notes a request and sends it, if there is a server; otherwise the next one gets it.
func (r *relay) ask(q *request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name, at := handleOf(q.packet); at >= 0 {
		if h := r.handles[name]; h == nil || h.dead {
			if q.packet.kind() == typeClose {
				delete(r.handles, name)
			}
			return r.reply(statusPacket(q.packet.id(), statusFailure, "the file is not on the server that took over"))
		}
	}
	r.pending = append(r.pending, q)
	if r.server != nil {
		r.send(q)
	}
	return nil
}

// send writes a request to the current server; a broken server shows at its reader.
func (r *relay) send(q *request) {
	p := q.packet
	if name, at := handleOf(p); at >= 0 && r.handles[name] != nil {
		p = withHandle(p, at, r.handles[name].server)
	}
	r.server.put(p)
}

// serve takes the servers' answers, one server after the other.
func (r *relay) serve(ctx context.Context, server io.ReadWriteCloser, greeting packet) error {
	for {
		if err := r.receive(server); err != nil {
			return err
		}
		r.mu.Lock()
		r.server.close()
		r.server = nil
		r.mu.Unlock()
		for {
			var err error
			if server, _, err = r.dial(ctx, greeting); err != nil {
				return err
			}
			if r.resume(server) == nil {
				break
			}
			server.Close()
		}
	}
}

// receive passes answers on until the server breaks off (nil) or the client does (an error).
func (r *relay) receive(server io.Reader) error {
	for {
		p, err := readPacket(server)
		if err != nil {
			return nil
		}
		if err := r.pass(p); err != nil {
			return err
		}
	}
}

// pass hands one answer to the client.
func (r *relay) pass(p packet) error {
	r.mu.Lock()
	q := r.take(p.id())
	if q == nil {
		r.mu.Unlock()
		return nil
	}
	p = r.translate(q, p)
	r.mu.Unlock()
	if p == nil {
		return nil
	}
	return r.reply(p)
}

func (r *relay) take(id uint32) *request {
	for i, q := range r.pending {
		if q.packet.id() == id {
			r.pending = append(r.pending[:i], r.pending[i+1:]...)
			return q
		}
	}
	return nil
}

// translate makes the answer fit what the client knows; nil means that nothing is to be said yet.
func (r *relay) translate(q *request, p packet) packet {
	switch q.packet.kind() {
	case typeOpen, typeOpendir:
		if p.kind() != typeHandle {
			return p
		}
		server, _, err := cutString(p.body())
		if err != nil {
			return p
		}
		r.counter++
		name := string(binary.BigEndian.AppendUint64(nil, r.counter))
		r.handles[name] = &handle{server: server, reopen: reopening(q.packet), delivered: map[string]bool{}}
		return newPacket(typeHandle, p.id(), appendString(nil, name))
	case typeClose:
		if name, at := handleOf(q.packet); at >= 0 {
			delete(r.handles, name)
		}
	case typeReaddir:
		name, _ := handleOf(q.packet)
		if h := r.handles[name]; h != nil && p.kind() == typeName {
			out, some := h.filterNames(p)
			if !some { // all of it was seen before: ask for more
				r.pending = append(r.pending, q)
				r.send(q)
				return nil
			}
			return out
		}
	case typeRemove, typeRmdir, typeRename, typeExtended:
		if q.again && p.statusCode() == statusNoSuchFile && wasCarriedOut(q.packet) {
			return statusPacket(p.id(), statusOK, "")
		}
	}
	return p
}

// wasCarriedOut tells the requests for which "no such file", when asked again, means that the first time worked.
func wasCarriedOut(p packet) bool {
	if p.kind() != typeExtended {
		return true
	}
	extension, _, err := cutString(p.body())
	return err == nil && strings.HasPrefix(extension, "posix-rename@")
}

func (r *relay) reply(p packet) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return writePacket(r.client, p)
}

// resume brings a new server to where the client is: files open, unanswered requests asked again in their order.
func (r *relay) resume(server io.ReadWriteCloser) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.handles {
		if h.dead {
			continue
		}
		if err := h.openOn(server); err != nil {
			return err
		}
	}
	r.server = newOutbox(server)
	var answers []packet
	kept := r.pending[:0]
	for _, q := range r.pending {
		q.again = true
		if name, at := handleOf(q.packet); at >= 0 && (r.handles[name] == nil || r.handles[name].dead) {
			answers = append(answers, statusPacket(q.packet.id(), statusFailure, "the file is not on the server that took over"))
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

// openOn opens the file or directory again. An error means that the server broke off; a file it does not have makes the handle dead.
func (h *handle) openOn(server io.ReadWriter) error {
	p := append(packet{}, h.reopen...)
	binary.BigEndian.PutUint32(p[1:], 0)
	if err := writePacket(server, p); err != nil {
		return err
	}
	answer, err := readPacket(server)
	if err != nil {
		return err
	}
	if answer.kind() != typeHandle {
		h.dead = true
		return nil
	}
	h.again = true
	h.server, _, err = cutString(answer.body())
	return err
}
