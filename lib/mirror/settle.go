package mirror

import (
	"context"
	"errors"

	"hafs/lib/change"
)

// ErrNoCopies means that there is no replica a change could be on.
var ErrNoCopies = errors.New("no replica has a whole copy, and without one nothing may be changed")

// Settle reports paths as changed and returns when more than half of the replicas have them as they are now, or as they became since. A replica
// that is still being filled does not count: it could not take the share over. The error is ErrNoCopies if fewer than
// atLeast count; without any, and with 0, there is nothing to wait for.
//
// It does not wait for the kernel to tell of the change, which hafs-watch then does as well; that second report costs one look.
func (m *Mirror) Settle(ctx context.Context, paths []string, atLeast int) error {
	m.mu.Lock()
	m.look(paths, true)
	number := m.number
	for {
		advanced := m.advanced
		have, counting := m.settled(number)
		m.mu.Unlock()
		switch {
		case counting < atLeast:
			return ErrNoCopies
		case counting == 0 || have > counting/2:
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

// ReportAll reports paths as changed.
func (m *Mirror) ReportAll(paths []string) {
	m.mu.Lock()
	m.look(paths, false)
	m.mu.Unlock()
}

// look reports paths; with m.mu held.
func (m *Mirror) look(paths []string, waited bool) {
	for _, path := range paths {
		m.add(change.Change{Kind: change.Look, Path: path, Waited: waited})
	}
}

// settled says how many replicas have everything up to a number, and how many might; with m.mu held.
func (m *Mirror) settled(number uint64) (have, counting int) {
	for _, r := range m.replicas {
		if r.has(number) {
			have++
		}
		if r.counts() {
			counting++
		}
	}
	return have, counting
}

func (m *Mirror) advance() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.advanced)
	m.advanced = make(chan struct{})
}
