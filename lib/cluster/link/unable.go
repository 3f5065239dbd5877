package link

import (
	"slices"
	"time"

	"hafs/lib/cluster/record"
)

// Behind is what hafs-mirror on the file sharing server says of a replica that does not take what others take.
type Behind struct {
	Generation uint64    // of the record it keeps replicas by
	Name       string    // empty: there is none
	Since      time.Time // the wall clock's
}

// unableAfter is how long a replica may not take what others take before it is reported as failed: what passes by itself passes sooner.
const unableAfter = 10 * time.Second

// Unable decides whether a DRS1 is to be failed because it does not take what others take, although it answers. Only the file sharing server can tell, and
// it does so one at a time (hafs-mirror names one). It needs a spare that answers, as a place without anybody is worse than one that lacks a path, and a majority
// of the members without the one that goes. alive says who answers.
func Unable(r record.Record, self string, b Behind, alive map[string]bool, now time.Time) []Report {
	switch {
	case b.Name == "" || b.Generation != r.Generation || now.Sub(b.Since) < unableAfter:
		return nil
	case r.Role(self) != record.RoleFS || r.Role(b.Name) != record.RoleDRS1:
		return nil
	case !slices.ContainsFunc(r.WithStatus(record.Spare), func(spare string) bool { return alive[spare] }):
		return nil
	}
	if !enoughWithout(r, b.Name, self, alive) {
		return nil
	}
	return []Report{{Server: b.Name}}
}

// Bare decides whether a server is to be failed because its directory does not hold the share, although it answers: it is not fed, and cannot step in.
// The file sharing server tells, one at a time, and spares first, so that none of them steps in for the next. It needs no spare, as a place without anybody
// is no worse: a DRS2 moves up, and is fed then. since says when each server began to say so (bareness.told, Daemon.noteBare).
func Bare(r record.Record, self string, since map[string]time.Time, alive map[string]bool, now time.Time) []Report {
	if r.Role(self) != record.RoleFS {
		return nil
	}
	for _, name := range slices.Concat(r.WithStatus(record.Spare), r.Members()) {
		if at, bare := since[name]; bare && name != self && alive[name] && now.Sub(at) >= unableAfter && enoughWithout(r, name, self, alive) {
			return []Report{{Server: name}}
		}
	}
	return nil
}

// enoughWithout says whether a majority of the members answers when one of them goes.
func enoughWithout(r record.Record, gone, self string, alive map[string]bool) bool {
	left := 0
	for _, member := range r.Members() {
		if member != gone && (member == self || alive[member]) {
			left++
		}
	}
	return left >= r.Majority()
}
