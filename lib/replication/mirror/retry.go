package mirror

import (
	"time"

	"hafs/lib/replication/change"
)

// What a replica lacks is looked at again by the same goroutine that applies changes, beside those.

// lacking is what the replica lacks; nil if its transport does not keep that.
func (r *replica) lacking() *lacks {
	if t, is := r.transport.(interface{ lacking() *lacks }); is {
		return t.lacking()
	}
	return nil
}

// retries counts the paths that are to be looked at again; with r.mu held.
func (r *replica) retries(now time.Time) int {
	l := r.lacking()
	if l == nil {
		return 0
	}
	due, _ := l.retries(now)
	return len(due)
}

// looksAgain are these looks; with r.mu held. In a comparison of everything they come by themselves.
func (r *replica) looksAgain() []change.Change {
	l := r.lacking()
	if l == nil || r.needFull {
		return nil
	}
	due, _ := l.retries(time.Now())
	return due
}

// owes says whether a complete replica is to be told its position, which was kept from it while it lacked something; with r.mu held.
func (r *replica) owes() bool {
	l := r.lacking()
	return l != nil && r.status.State == Complete && !r.needFull && !r.comparing() && l.owes()
}

// missing says whether the replica lacks what others may have been told is safe.
func (r *replica) missing() bool {
	l := r.lacking()
	return l != nil && l.missing()
}

// lacks is what the replica lacks of any of the paths.
func (r *replica) lacks(paths []string) (Lack, bool) {
	if l := r.lacking(); l != nil {
		for _, path := range paths {
			if found, is := l.of(path); is {
				return found, true
			}
		}
	}
	return Lack{}, false
}

// quiet is for how long the replica has done nothing, counted from since on at the earliest; 0 if its transport cannot tell. That it is asked for a session again
// and again is not doing anything.
func (r *replica) quiet(since, now time.Time) time.Duration {
	p, tells := r.transport.(interface{ Progress() int64 })
	if !tells {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if moved := p.Progress(); moved != r.moved {
		r.moved, r.movedAt = moved, now
	}
	last := r.movedAt
	if r.status.State == Broken {
		last = r.status.Since
	}
	if last.Before(since) {
		last = since
	}
	return now.Sub(last)
}

// maxShownLacks is how many of the paths that a replica lacks are named.
const maxShownLacks = 20

// shownLacks writes paths as they can be printed, in whatever bytes they are, and causes as what they are.
func shownLacks(all []Lack) []Lack {
	var shown []Lack
	for _, l := range all[:min(len(all), maxShownLacks)] {
		l.Path = change.Change{Kind: change.Look, Path: l.Path}.String()[len("look "):]
		shown = append(shown, l)
	}
	return shown
}
