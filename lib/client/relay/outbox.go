package relay

import (
	"io"
	"sync"

	"hafs/lib/client/sftp"
)

// outbox writes to one server in the background. Whoever passes answers on must never wait for a server that takes no more requests
// until its answers are taken: both would wait for ever. It holds at most what the client may leave unanswered.
type outbox struct {
	server io.WriteCloser

	mu     sync.Mutex
	filled *sync.Cond
	queue  []sftp.Packet
	closed bool
}

func newOutbox(server io.WriteCloser) *outbox {
	o := &outbox{server: server}
	o.filled = sync.NewCond(&o.mu)
	go o.write()
	return o
}

func (o *outbox) put(p sftp.Packet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, p)
	o.filled.Signal()
}

// close ends the connection; what is queued is not lost, it is still pending in the relay.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.filled.Signal()
	o.mu.Unlock()
	o.server.Close()
}

func (o *outbox) write() {
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.closed {
			o.filled.Wait()
		}
		if o.closed {
			o.mu.Unlock()
			return
		}
		batch := o.queue
		o.queue = nil
		o.mu.Unlock()
		for _, p := range batch {
			if sftp.WritePacket(o.server, p) != nil {
				o.server.Close() // shows at the reader
				return
			}
		}
	}
}
