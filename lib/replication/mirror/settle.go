package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"hafs/lib/replication/change"
)

// ErrNoCopies means that there is no replica a change could be on.
var ErrNoCopies = errors.New("no other server has a whole copy, and without one nothing may be changed (without_copies)")

// Settle reports paths as changed and returns when more than half of the replicas have them as they are now, or as they became since. A replica
// that is still being filled does not count: it could not take the share over. One that has not said yet whether it is does count, so that nothing is
// acknowledged too early. The error is ErrNoCopies if fewer than atLeast count; without any, and with 0, there is nothing to wait for. It is Uncopied if too few
// will have them: because they do not take them, or have done nothing for the patience. See settled.
//
// It does not wait for the kernel to tell of the change, which hafs-watch then does as well; that second report costs one look.
func (m *Mirror) Settle(ctx context.Context, paths []string, atLeast int) error {
	began := time.Now()
	m.mu.Lock()
	m.look(paths, true)
	number := m.number
	var again <-chan time.Time
	if m.Patience > 0 {
		ticker := time.NewTicker(settleEvery)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		advanced := m.advanced
		newest := m.newest()
		copies := m.copies(paths, number, began)
		if newest {
			if wait, err := settled(copies, atLeast, m.Patience); !wait {
				if err == nil {
					m.miss(paths)
				}
				m.mu.Unlock()
				return err
			}
		}
		m.mu.Unlock()
		select {
		case <-advanced:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
		m.mu.Lock()
	}
}

// settleEvery is how often it is looked whether copies still do something.
const settleEvery = 250 * time.Millisecond

// copies is how the replicas stand to a change; with m.mu held.
func (m *Mirror) copies(paths []string, number uint64, began time.Time) []copyState {
	now := time.Now()
	var all []copyState
	for _, r := range m.replicas {
		c := copyState{name: r.wanted.Name, stands: r.standing() != Unfilled, has: r.has(number), missing: r.missing(), quiet: r.quiet(began, now)}
		if l, lacks := r.lacks(paths); lacks && r.tried(number) {
			c.lack = &l
		}
		all = append(all, c)
	}
	return all
}

// miss notes for who lacks them that paths were acknowledged; with m.mu held.
func (m *Mirror) miss(paths []string) {
	for _, r := range m.replicas {
		if l := r.lacking(); l != nil {
			for _, path := range paths {
				l.miss(path)
			}
		}
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

// advance notes that a replica may have come further, or lacks something else.
func (m *Mirror) advance() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.excuse()
	close(m.advanced)
	m.advanced = make(chan struct{})
}

// excuse tells each replica which of the paths it lacks so many others lack that no change of them settles; with m.mu held.
func (m *Mirror) excuse() {
	lacking, standing := map[string]int{}, 0
	lists := make([][]Lack, len(m.replicas))
	for i, r := range m.replicas {
		if r.standing() == Unfilled {
			continue
		}
		standing++
		if l := r.lacking(); l != nil {
			lists[i] = l.list()
		}
		for _, l := range lists[i] {
			lacking[l.Path]++
		}
	}
	for i, r := range m.replicas {
		l := r.lacking()
		if l == nil {
			continue
		}
		excused := map[string]bool{}
		for _, one := range lists[i] {
			if n := lacking[one.Path]; standing-n <= standing/2 {
				excused[one.Path] = true
			}
		}
		l.excuse(excused)
		if l.owes() {
			r.poke()
		}
	}
}

// behind is the replica that does not take what others take; with m.mu held. Whoever took the place of one that was replaced for a path, and does not take that
// path either, is not: then it is no matter of one server, and all spares would go the same way.
func (m *Mirror) behind() *Behind {
	var all []keeping
	for _, r := range m.replicas {
		k := keeping{name: r.wanted.Name}
		if l := r.lacking(); l != nil {
			k.lacks = slices.DeleteFunc(l.list(), func(l Lack) bool {
				at, blamed := m.blamed[l.Path]
				return blamed && r.kept.After(at)
			})
		}
		r.mu.Lock()
		k.complete = r.status.State == Complete
		r.mu.Unlock()
		all = append(all, k)
	}
	m.last = behind(all)
	return m.last
}

// replaced notes that a replica is not wanted any more; with m.mu held.
func (m *Mirror) replaced(r *replica) {
	if m.last != nil && m.last.Name == r.wanted.Name {
		m.blamed[m.last.Path] = time.Now()
	}
}
