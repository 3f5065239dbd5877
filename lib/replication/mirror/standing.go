package mirror

import (
	"fmt"
	"time"
)

// What is asked of a replica by others than its own goroutine.

// stallAfter is how long a replica may not answer before that is said.
const stallAfter = 2 * time.Second

// snapshot is the status as of now.
func (r *replica) snapshot(now time.Time) ReplicaStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Counts = r.stands() != Unfilled
	s.Pending = r.queue.Len() + r.working
	if r.needFull || r.comparing() {
		s.Pending++
	}
	if c := r.next(); c != nil {
		s.Comparison = c.shown(now)
	}
	if h, is := r.transport.(interface{ Held() int }); is {
		s.Held = h.Held()
	}
	if l := r.lacking(); l != nil {
		all := l.list()
		s.Lacks, s.Lacking = shownLacks(all), len(all)
	}
	if p, counts := r.transport.(interface{ Progress() int64 }); counts && r.working > 0 {
		if moved := p.Progress(); moved != r.answered {
			r.answered, r.answeredAt = moved, now
		}
		if quiet := now.Sub(r.answeredAt); quiet > stallAfter {
			s.Stalled = int(quiet / time.Second)
		}
	}
	return s
}

// has says whether a complete replica has everything up to a number.
func (r *replica) has(number uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status.State == Complete && r.status.Number >= number
}

// tried says whether a change up to a number was dealt with, whatever became of it.
func (r *replica) tried(number uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken >= number
}

// standing says whether this replica could take the share over. Those that cannot say so themselves are taken for whole.
func (r *replica) standing() Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stands()
}

// stands is standing with r.mu held.
func (r *replica) stands() Standing {
	g, gradual := r.transport.(Gradual)
	if !gradual || r.status.State == Complete {
		return Whole
	}
	return g.Standing()
}

// finished says whether nothing waits, and why not everything is on the replica then.
func (r *replica) finished() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gaveUp != nil {
		return true, r.gaveUp
	}
	if r.needFull || r.comparing() || r.queue.Len() > 0 || r.working > 0 || r.status.State == Broken {
		return false, nil
	}
	if l := r.lacking(); l != nil && l.any() {
		var problems []error
		for _, lack := range l.list() {
			problems = append(problems, fmt.Errorf("%s is not copied: %s", lack.Path, lack.Cause))
		}
		return true, summary(problems)
	}
	return true, nil
}
