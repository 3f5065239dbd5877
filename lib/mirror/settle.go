package mirror

import (
	"context"

	"hafs/lib/change"
)

// Settle reports paths as changed and returns when more than half of the replicas have them as they are now, or as they became since. A replica
// that is not complete does not count: it could not take the share over. Without replicas there is nothing to wait for.
//
// It does not wait for the kernel to tell of the change, which hafs-watch then does as well; that second report costs one look.
func (m *Mirror) Settle(ctx context.Context, paths []string) error {
	m.mu.Lock()
	for _, path := range paths {
		m.add(change.Change{Kind: change.Look, Path: path})
	}
	number := m.number
	for {
		advanced := m.advanced
		settled := m.settled(number)
		m.mu.Unlock()
		if settled {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
		m.mu.Lock()
	}
}

// settled says whether enough replicas have everything up to a number; with m.mu held.
func (m *Mirror) settled(number uint64) bool {
	have := 0
	for _, r := range m.replicas {
		if r.has(number) {
			have++
		}
	}
	return len(m.replicas) == 0 || have > len(m.replicas)/2
}

func (m *Mirror) advance() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.advanced)
	m.advanced = make(chan struct{})
}
