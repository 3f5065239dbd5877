package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// Side is where it lies that a path is not on a replica.
type Side string

const (
	OfShare   Side = "share"   // it cannot be read there, or is not to be
	OfReplica Side = "replica" // it is not taken there
)

// Lack is a path that a replica does not have as the share has it, although everything else is there.
type Lack struct {
	Path  string        `json:"path"`
	Side  Side          `json:"side"`
	Cause string        `json:"cause"`
	Errno syscall.Errno `json:"errno,omitempty"`
	Below bool          `json:"below,omitempty"` // and all that is below it, or much of that
	Since time.Time     `json:"since"`
	// Missed says that a client was told the path is safe without this replica: it may not succeed before it has it.
	Missed bool `json:"missed,omitempty"`
}

// unpassed is why the replicas of a replica do not have what it has.
type unpassed struct{ error }

func (u unpassed) Unwrap() error { return u.error }

func (l Lack) Error() string { return l.Cause }
func (l Lack) Unwrap() error { return l.Errno }

// failure is why one path could not be dealt with.
type failure struct {
	side  Side
	err   error
	below bool
}

// lacks is what one replica lacks. Each path is looked at again after a growing pause.
type lacks struct {
	mu      sync.Mutex
	paths   map[string]*lack
	doubts  map[string]time.Time // when something was not as expected on the replica
	excused map[string]bool      // what so many others lack too that nobody was told it is safe
	unsaid  bool                 // the replica was not told its newest position
}

type lack struct {
	Lack
	unpassed  bool // the replica may have it, and its own replicas not
	seen, due time.Time
	pause     time.Duration
	folded    bool // it stands for many paths below it
}

const (
	firstPause = time.Second
	lastPause  = 16 * time.Second
	// maxLacks bounds what is lacked path by path. Of more than this those of one directory become one lack, of the directory.
	maxLacks = 1000
	// doubtFor is how long it is remembered that a path of the replica was not what it was thought to be. If it is so again after a comparison of
	// everything, it is the path.
	doubtFor = time.Minute
)

func newLacks() *lacks { return &lacks{paths: map[string]*lack{}, doubts: map[string]time.Time{}} }

// stale says whether an error of the replica means that it is not as it was thought to be, which a comparison mends, rather than that it does not take
// the path.
func stale(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return true
	}
	return slices.Contains([]syscall.Errno{unix.ENOENT, unix.ENOTDIR, unix.EISDIR, unix.EEXIST, unix.ENOTEMPTY}, errno)
}

// doubt notes that a path was not as expected, and says whether it was so before.
func (l *lacks) doubt(path string, now time.Time) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.doubts[path]
	if len(l.doubts) > maxLacks {
		clear(l.doubts)
	}
	l.doubts[path] = now
	return known && now.Sub(before) < doubtFor
}

// dealt notes what became of the paths that were looked at: those that failed are lacked, the others are not any more. It answers what is lacked that was not
// before, or for another cause.
func (l *lacks) dealt(looked looked, failed map[string]failure, now time.Time) (fresh []Lack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, unfolded := map[string]syscall.Errno{}, []*lack(nil)
	for path, known := range l.paths {
		before[path] = known.Errno
		if _, still := failed[path]; (!still || known.folded) && looked(known) {
			delete(l.paths, path)
			delete(l.doubts, path)
			if known.folded {
				unfolded = append(unfolded, known)
			}
		}
	}
	for path, f := range failed {
		l.note(path, f, unfolded, now)
	}
	for len(l.paths) > maxLacks {
		l.fold()
	}
	for path, known := range l.paths {
		if errno, was := before[path]; !was || errno != known.Errno {
			fresh = append(fresh, known.Lack)
		}
	}
	return fresh
}

// note notes one failure; with l.mu held. What was lacked as one of many until now is not lacked since now.
func (l *lacks) note(path string, f failure, unfolded []*lack, now time.Time) {
	known := l.paths[path]
	if folded := l.foldedAbove(path); folded != nil {
		known = folded
	}
	if known == nil {
		known = &lack{Lack: Lack{Path: path, Since: now}}
		for _, many := range unfolded {
			if change.Within(path, many.Path) {
				known.Since, known.Missed, known.due, known.pause = many.Since, many.Missed, many.due, many.pause
			}
		}
		l.paths[path] = known
	}
	known.seen = now
	if !known.folded || known.Side == OfShare && f.side == OfReplica {
		var errno syscall.Errno
		errors.As(f.err, &errno)
		known.Side, known.Cause, known.Errno, known.Below = f.side, f.err.Error(), errno, f.below || known.folded
		known.unpassed = errors.As(f.err, new(unpassed))
	}
	if !now.Before(known.due) {
		known.pause = min(max(2*known.pause, firstPause), lastPause)
		known.due = now.Add(known.pause)
	}
}

// foldedAbove is the lack that stands for all in a directory, this path among them; nil: there is none. With l.mu held.
func (l *lacks) foldedAbove(path string) *lack {
	for at := path; ; at = parent(at) {
		if known := l.paths[at]; known != nil && known.folded {
			return known
		}
		if at == "." {
			return nil
		}
	}
}

// fold makes one lack of all that are in the directory that has most of them; with l.mu held.
func (l *lacks) fold() {
	all := &lack{Lack: Lack{Path: crowded(slices.Collect(maps.Keys(l.paths)))}, folded: true}
	var one *lack // that is named for all: what is lacked for the replica's own part, if anything is
	for path, known := range l.paths {
		if !change.Within(path, all.Path) {
			continue
		}
		delete(l.paths, path)
		if one == nil || cmp.Or(strings.Compare(string(known.Side), string(one.Side)), strings.Compare(known.Path, one.Path)) < 0 {
			one = known
		}
		if all.Since.IsZero() || known.Since.Before(all.Since) {
			all.Since = known.Since
		}
		if known.seen.After(all.seen) {
			all.seen = known.seen
		}
		if known.due.After(all.due) {
			all.due, all.pause = known.due, known.pause
		}
		all.Missed, all.unpassed = all.Missed || known.Missed, all.unpassed || known.unpassed
	}
	all.Side, all.Cause, all.Errno, all.Below = one.Side, one.Cause, one.Errno, true
	if !one.folded {
		all.Cause = fmt.Sprintf("many paths, one of them %s: %s", one.Path, one.Cause)
	}
	l.paths[all.Path] = all
}

// compared forgets what a comparison of a directory that began then did not come across again.
func (l *lacks) compared(dir string, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, known := range l.paths {
		if known.seen.Before(began) && change.Within(path, dir) && !known.unpassed {
			delete(l.paths, path)
		}
	}
}

// retries are the looks that are due, and how long it is to the next one; 0: there is none.
func (l *lacks) retries(now time.Time) (due []change.Change, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, known := range l.paths {
		left := known.due.Sub(now)
		if left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		c := change.Change{Kind: change.Look, Path: path, Waited: known.unpassed}
		if known.Below {
			c.Kind = change.Rescan
		}
		due = append(due, c)
	}
	return due, wait
}

// of is what is lacked of a path: itself, or a directory above it with all that is in it.
func (l *lacks) of(path string) (Lack, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := path; ; at = parent(at) {
		if known := l.paths[at]; known != nil && (at == path || known.Below) {
			return known.Lack, true
		}
		if at == "." {
			return Lack{}, false
		}
	}
}

// miss notes that a client was told that a path is safe, without this replica.
func (l *lacks) miss(path string) {
	found, lacked := l.of(path)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.paths[found.Path]; lacked && known != nil {
		known.Missed = true
	}
}

// missing says whether the replica lacks, for its own part, something that others may have been told is safe: it does not count then, and its position
// stays where it was.
func (l *lacks) missing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, known := range l.paths {
		if known.Side == OfReplica && (known.Missed || !l.excused[path]) {
			return true
		}
	}
	return false
}

// excuse names what so many replicas lack that no client was told it is safe.
func (l *lacks) excuse(paths map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.excused = paths
}

// positioned notes whether the replica was told the newest position.
func (l *lacks) positioned(told bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaid = !told
}

// owes says whether there is a position to be told, and nothing against it.
func (l *lacks) owes() bool {
	l.mu.Lock()
	unsaid := l.unsaid
	l.mu.Unlock()
	return unsaid && !l.missing()
}

// any says whether anything is lacked.
func (l *lacks) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.paths) > 0
}

// list is all that is lacked, by path.
func (l *lacks) list() []Lack {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Lack
	for _, known := range l.paths {
		all = append(all, known.Lack)
	}
	slices.SortFunc(all, func(a, b Lack) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// untaken says whether something is lacked for the replica's own part.
func (l *lacks) untaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, known := range l.paths {
		if known.Side == OfReplica {
			return true
		}
	}
	return false
}
