package reception

import (
	"context"
	"sync"
	"time"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
)

// room knows how much may be written to the share: what this server takes, its replicas have to take too.
type room struct {
	settings config.Settings
	record   func() record.Record

	mu    sync.Mutex
	asked time.Time
	bytes uint64
	known bool
}

const (
	// roomFor is how long what was heard holds. Servers tell it with each heartbeat.
	roomFor      = time.Second
	roomPatience = 200 * time.Millisecond
)

// left is how many bytes the fullest replica has free; false: none has said so.
func (m *room) left() (bytes uint64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.asked) > roomFor {
		ctx, cancel := context.WithTimeout(context.Background(), roomPatience)
		defer cancel()
		peers, err := link.Client{Socket: m.settings.Run("link.sock")}.View(ctx)
		m.asked = time.Now()
		if m.known = err == nil; m.known {
			m.bytes, m.known = leastFree(m.record(), peers)
		}
	}
	return m.bytes, m.known
}

// leastFree is what the fullest of the replicas that live has free. One whose directory does not hold the share tells of another file system.
func leastFree(r record.Record, peers map[string]link.Peer) (bytes uint64, known bool) {
	for _, pair := range r.Pairs {
		for _, name := range []string{pair.DRS1, pair.DRS2} {
			p := peers[name]
			if p.Verdict != link.Alive || p.Facts.SizeBytes == 0 || p.Facts.Bare != "" || known && p.Facts.FreeBytes >= bytes {
				continue
			}
			bytes, known = p.Facts.FreeBytes, true
		}
	}
	return bytes, known
}
