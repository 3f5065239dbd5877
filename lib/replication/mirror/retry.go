package mirror

import (
	"slices"
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

// looksAgain are the looks that are due, and how long it is to the next one (0: there is none); with r.mu held. In a comparison of everything they come by
// themselves, and all that is in a directory does so in the comparison of that.
func (r *replica) looksAgain(now time.Time) (due []change.Change, wait time.Duration) {
	l := r.lacking()
	if l == nil || r.needFull {
		return nil, 0
	}
	due, wait = l.retries(now)
	return slices.DeleteFunc(due, func(c change.Change) bool { return c.Kind == change.Rescan && r.comesTo(c.Path) }), wait
}

// comesTo says whether a comparison that is waited for comes, or came, to a directory; with r.mu held.
func (r *replica) comesTo(dir string) bool {
	within := func(c *comparison) bool { return change.Within(dir, c.Directory) }
	return r.comparison != nil && r.comparison.Waited || slices.ContainsFunc(r.large, within)
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
