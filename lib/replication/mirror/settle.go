package mirror

import (
	"context"
	"errors"
	"time"

	"hafs/lib/replication/change"
)

// ErrNoCopies means that there is no replica a change could be on.
var ErrNoCopies = errors.New("no other server has a whole copy, and without one nothing may be changed (without_copies)")

// Settle reports paths as changed and returns when more than half of the replicas have them as they are now, or as they became since. A replica
// that is still being filled does not count: it could not take the share over. One that has not said yet whether it is does count, so that nothing is
// acknowledged too early. The error is ErrNoCopies if fewer than atLeast count; without any, and with 0, there is nothing to wait for.
//
// It does not wait for the kernel to tell of the change, which hafs-watch then does as well; that second report costs one look.
func (m *Mirror) Settle(ctx context.Context, paths []string, atLeast int) error {
	m.mu.Lock()
	m.look(paths, true)
	number := m.number
	for {
		advanced := m.advanced
		newest := m.newest()
		have, counting := m.settled(number)
		m.mu.Unlock()
		switch {
		case !newest:
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

// newest says whether the replicas are those of the newest record; with m.mu held. A server that was a DRS1 a moment ago still has its DRS2 as its only
// one, and a mirror that has just started none at all. Keep follows soon.
func (m *Mirror) newest() bool { return m.Newest == nil || m.generation >= m.Newest() }

// greetingPatience is how long a replica may take to say whether it is whole, counted from when it became one. Its server may have to hear of the
// generation first.
const greetingPatience = 5 * time.Second

// AnyWhole returns when it is known whether any replica is whole; if none is, with ErrNoCopies. One that was and cannot be reached is until the record
// has another in its place; one that has not said anything yet is waited for, but not longer than greetingPatience.
func (m *Mirror) AnyWhole(ctx context.Context) error {
	for {
		m.mu.Lock()
		advanced := m.advanced
		newest := m.newest()
		whole, unheard := m.whole(time.Now())
		m.mu.Unlock()
		var late <-chan time.Time
		switch {
		case !newest:
		case whole:
			return nil
		case unheard <= 0:
			return ErrNoCopies
		default:
			late = time.After(unheard)
		}
		select {
		case <-advanced:
		case <-late:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// whole says whether any replica is whole, and how long those that have not said so yet are to be waited for; with m.mu held.
func (m *Mirror) whole(now time.Time) (found bool, unheard time.Duration) {
	for _, r := range m.replicas {
		switch r.standing() {
		case Whole:
			return true, 0
		case Unheard:
			unheard = max(unheard, greetingPatience-now.Sub(r.kept))
		}
	}
	return false, unheard
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
		if r.standing() != Unfilled {
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
