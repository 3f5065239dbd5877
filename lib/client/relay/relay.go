// Package relay keeps an SFTP client's session alive while the server behind it changes.
//
// The client (sshfs) talks to the relay; the relay talks to whoever serves the share now. When that server is lost or replaced, the relay
// connects to the next one, opens again what the client has open, carries out again what the lost server acknowledged on open files, and
// asks again what was not answered. Programs see a pause and no error.
//
// What it promises: a file that is closed well holds every write that was acknowledged through its handle, whichever server serves then. The
// relay remembers the acknowledged changes of a file from OPEN to CLOSE, fsync or not, and the next server gets them in their order: a file that
// was new or truncated when it was opened is made anew, another is changed in place. Where that cannot be done (more was written than is
// remembered, the next server lacks the file and the OPEN did not create it, or has it and it was appended to, the file has lost its name, a change
// fails there) every later request on the handle fails, CLOSE above all. An open that only reads, or does not create, never creates.
//
// What it does not promise: once CLOSE is acknowledged nothing is remembered; from then on durability is the mirror's business. What other
// clients did to a file while it was open here is not known: their renames are not followed, and what is remembered is written over their newer
// bytes. Nor are truncations by name before the file was opened repeated. An append that was not answered may be there twice.
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

	"hafs/lib/client/sftp"
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
	counter uint64 // names handles, and orders what changed files

	remembered int        // bytes, over all handles
	writing    sync.Mutex // of the client's side
}

const textLost = "the file is not whole on the server that took over"

type request struct {
	packet sftp.Packet
	again  bool // asked on an earlier server too
}

// Run relays until the client ends its side or ctx ends.
func Run(ctx context.Context, client io.ReadWriter, connect Connect) error {
	return newRelay().run(ctx, client, connect)
}

func newRelay() *relay { return &relay{handles: map[string]*handle{}} }

func (r *relay) run(ctx context.Context, client io.ReadWriter, connect Connect) error {
	r.client, r.connect = client, connect
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := sftp.ReadPacket(client)
	if err != nil {
		return err
	}
	if first.Kind() != sftp.Init {
		return fmt.Errorf("expected SFTP INIT, got type %d", first.Kind())
	}
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
func (r *relay) dial(ctx context.Context, greeting sftp.Packet) (io.ReadWriteCloser, sftp.Packet, error) {
	for {
		server, err := r.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		if err = sftp.WritePacket(server, greeting); err == nil {
			var version sftp.Packet
			if version, err = sftp.ReadPacket(server); err == nil && version.Kind() == sftp.Version {
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
		p, err := sftp.ReadPacket(client)
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
	if name, at := sftp.HandleOf(q.packet); at >= 0 {
		if h := r.handles[name]; h == nil || h.dead {
			if q.packet.Kind() == sftp.Close {
				r.forget(name)
			}
			return r.reply(sftp.StatusPacket(q.packet.ID(), sftp.Failure, textLost))
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
	if name, at := sftp.HandleOf(p); at >= 0 && r.handles[name] != nil {
		p = withHandle(p, at, r.handles[name].server)
	}
	r.server.put(p)
}

// serve takes the servers' answers, one server after the other.
func (r *relay) serve(ctx context.Context, server io.ReadWriteCloser, greeting sftp.Packet) error {
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
			stop := context.AfterFunc(ctx, func() { server.Close() }) // the client has ended, and the server may hang
			err = r.resume(server)
			stop()
			if err == nil {
				break
			}
			server.Close()
		}
	}
}

// receive passes answers on until the server breaks off (nil) or the client does (an error).
func (r *relay) receive(server io.Reader) error {
	for {
		p, err := sftp.ReadPacket(server)
		if err != nil {
			return nil
		}
		if err := r.pass(p); err != nil {
			return err
		}
	}
}

// pass hands one answer to the client.
func (r *relay) pass(p sftp.Packet) error {
	r.mu.Lock()
	q := r.take(p.ID())
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
		if q.packet.ID() == id {
			r.pending = append(r.pending[:i], r.pending[i+1:]...)
			return q
		}
	}
	return nil
}

// translate makes the answer fit what the client knows; nil means that nothing is to be said yet.
func (r *relay) translate(q *request, p sftp.Packet) sftp.Packet {
	switch q.packet.Kind() {
	case sftp.Open, sftp.Opendir:
		if p.Kind() != sftp.Handle {
			return p
		}
		server, _, err := sftp.CutString(p.Body())
		if err != nil {
			return p
		}
		r.counter++
		name := string(binary.BigEndian.AppendUint64(nil, r.counter))
		r.handles[name] = newHandle(q.packet, server, r.counter)
		return sftp.NewPacket(sftp.Handle, p.ID(), sftp.AppendString(nil, name))
	case sftp.Close:
		if name, at := sftp.HandleOf(q.packet); at >= 0 {
			r.forget(name)
		}
	case sftp.Write, sftp.Fsetstat:
		name, _ := sftp.HandleOf(q.packet)
		if h := r.handles[name]; h != nil && p.StatusCode() == sftp.OK {
			r.remember(h, q.packet)
		}
	case sftp.Setstat:
		if p.StatusCode() == sftp.OK {
			r.rememberByName(q.packet)
		}
	case sftp.Readdir:
		name, _ := sftp.HandleOf(q.packet)
		if h := r.handles[name]; h != nil && p.Kind() == sftp.Name {
			out, some := h.filterNames(p)
			if !some { // all of it was seen before: ask for more
				r.pending = append(r.pending, q)
				r.send(q)
				return nil
			}
			return out
		}
	case sftp.Remove, sftp.Rmdir, sftp.Rename, sftp.Extended:
		if q.again && p.StatusCode() == sftp.NoSuchFile && wasCarriedOut(q.packet) {
			p = sftp.StatusPacket(p.ID(), sftp.OK, "")
		}
		if p.StatusCode() == sftp.OK {
			r.followName(q.packet)
		}
	}
	return p
}

// wasCarriedOut tells the requests for which "no such file", when asked again, means that the first time worked.
func wasCarriedOut(p sftp.Packet) bool {
	if p.Kind() != sftp.Extended {
		return true
	}
	extension, _, err := sftp.CutString(p.Body())
	return err == nil && strings.HasPrefix(extension, "posix-rename@")
}

func (r *relay) reply(p sftp.Packet) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return sftp.WritePacket(r.client, p)
}
