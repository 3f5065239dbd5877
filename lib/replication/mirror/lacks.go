package mirror

import (
	"errors"
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
	Below bool          `json:"below,omitempty"` // and all that is below it
	Since time.Time     `json:"since"`
	// Missed says that a client was told the path is safe without this replica: it may not succeed before it has it.
	Missed bool `json:"missed,omitempty"`
}

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
	seen, due time.Time
	pause     time.Duration
}

const (
	firstPause = time.Second
	lastPause  = 16 * time.Second
	// maxLacks bounds what is lacked path by path. Who lacks more than this is taken for broken as a whole.
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

// dealt notes what became of the paths that were looked at: those that failed are lacked, the others are not any more. It answers false when too many are.
func (l *lacks) dealt(looked func(path string) bool, failed map[string]failure, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path := range l.paths {
		if _, still := failed[path]; !still && looked(path) {
			delete(l.paths, path)
			delete(l.doubts, path)
		}
	}
	for path, f := range failed {
		l.note(path, f, now)
	}
	return len(l.paths) <= maxLacks
}

// note notes one failure; with l.mu held.
func (l *lacks) note(path string, f failure, now time.Time) {
	known := l.paths[path]
	if known == nil {
		known = &lack{Lack: Lack{Path: path, Since: now}}
		l.paths[path] = known
	}
	var errno syscall.Errno
	errors.As(f.err, &errno)
	known.Side, known.Cause, known.Errno, known.Below, known.seen = f.side, f.err.Error(), errno, f.below, now
	if !now.Before(known.due) {
		known.pause = min(max(2*known.pause, firstPause), lastPause)
		known.due = now.Add(known.pause)
	}
}

// compared forgets what a comparison of everything that began then did not come across again.
func (l *lacks) compared(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, known := range l.paths {
		if known.seen.Before(began) {
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
		c := change.Change{Kind: change.Look, Path: path}
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
