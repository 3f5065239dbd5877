// Package lease says until when the file sharing server may serve: a lease as in Gray and Cheriton, "Leases: an efficient fault-tolerant
// mechanism for distributed file cache consistency" (1989), given by a majority of the servers that are not failed.
//
// FS serves while a majority answered heartbeats that it sent within the examination time. Whoever answers promises not to help replace FS
// until the examination time has passed since it *heard* the heartbeat, which is never before it was sent; so FS stops first. Servers may have different examination
// times while that is being changed: examination.go says who counts with which. Three rules
// close the gaps, and link keeps them: a server that has voted for a later generation says so, and its answer counts for no lease of the
// present one; one that installs a generation, or starts, takes its FS as heard at that moment, so that a promise outlives both; and an FS that
// proposes to hand its role over gives its lease up before it asks.
//
// A majority of one generation that replaces FS and a majority that gave the lease share a server, so no two servers ever hold a lease, whatever
// is lost, late or crashes. What this takes for granted: no clock is off by more than 5 %, and FS's does not stand still. The clocks of a
// virtual machine that is suspended do; see docs/lease.md.
//
// lease.go and examination.go are pure; store.go keeps the lease in a file, for the other commands of this server.
package lease

import (
	"slices"
	"time"
)

// marginParts: a lease is shorter than the examination time E by one part in so many. When FS's clock is 5 % slow and the voters' are 5 % fast, it
// lasts 0.947 E of true time and their promise 0.952 E. A twentieth would not be enough: 1.000 E.
const marginParts = 10

// Grant is what a member's answer to a heartbeat gives.
type Grant struct {
	Sent time.Time     // when the heartbeat was sent that it answered well; for FS itself the last moment at which it had not voted for another generation: now
	For  time.Duration // how long after it heard that it does not help to replace FS, as far as FS may count on it (Times.Lend)
}

// End is when FS may count on the promise no more.
func (g Grant) End() time.Time { return g.Sent.Add(g.For - g.For/marginParts) }

// Later is the one of two grants of a member that lasts longer. Its promise holds as long as it said, also when it starts again with a shorter examination time.
func (g Grant) Later(h Grant) Grant {
	if h.End().After(g.End()) {
		return h
	}
	return g
}

// Until is when the lease ends that a majority of the members has given, the zero time if none has. While the examination time is being changed from server to
// server each promise has a length of its own, and the lease lasts as long as the shortest of a majority.
func Until(members []string, grants map[string]Grant) time.Time {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	var ends []time.Time
	for _, m := range members {
		if g, answered := grants[m]; answered && !g.Sent.IsZero() {
			ends = append(ends, g.End())
		}
	}
	majority := len(members)/2 + 1
	if len(ends) < majority {
		return time.Time{}
	}
	slices.SortFunc(ends, func(a, b time.Time) int { return b.Compare(a) })
	return ends[majority-1]
}

// Lease is what the file holds.
type Lease struct {
	Generation uint64        // in which it was given; it stays good in later ones that have the same FS
	Expires    time.Duration // on the clock that counts since the machine was started, suspension included (CLOCK_BOOTTIME)
}

// Held says whether a lease is good at a moment of that clock.
func (l Lease) Held(now time.Duration) bool { return l.Generation > 0 && now < l.Expires }
