package change

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// History is what was done to one copy of the share lately, path by path, and which positions it had meanwhile. Where the histories of two copies have a
// position in common, the copies differ at most in what was done to either since then: only that need be compared before the one counts as a copy of the
// other. It is in memory alone: what a copy lost with the power is in no history. It is safe for concurrent use.
type History struct {
	Bytes int // about how much is remembered; 0: DefaultHistory

	mu     sync.Mutex
	clock  uint64            // of what was done
	done   map[Change]uint64 // when it was done last
	bytes  int
	marks  []mark // in the order of time, and of positions
	forgot bool   // something was done that is not remembered
}

// mark is a position that the copy had.
type mark struct {
	position Position
	clock    uint64 // of what was done by then
	when     time.Time
	share    bool // the copy was the share itself
}

const (
	// DefaultHistory is room for some twenty thousand changes.
	DefaultHistory = 2 << 20
	// Overlap is how long it may take until a change is told, and has a number. A file is sent as it is: its last change may be done to a copy so long before the copy
	// comes to the position that has it.
	Overlap = 5 * time.Second
	// doneBytes is about what a change takes besides its path.
	doneBytes = 64
	maxMarks  = 8192
)

// Do notes what is about to be done to the copy, or was done since the last position.
func (h *History) Do(c Change) {
	if c.Kind == Barrier {
		return
	}
	if c.Kind != Rescan {
		c.Kind = Look
	}
	c.Waited = false
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done == nil {
		h.done = map[Change]uint64{}
	}
	h.clock++
	if _, known := h.done[c]; !known {
		h.bytes += len(c.Path) + doneBytes
	}
	h.done[c] = h.clock
	if h.bytes > cmp.Or(h.Bytes, DefaultHistory) {
		h.forget()
	}
}

// Reached notes that the copy has now come to a position. If that is Exact it was the newest when what led to it was gathered, after the position before it: the copy is
// then the share as it was there, but for what is done from now on, or was in the Overlap.
func (h *History) Reached(p Position, now time.Time) {
	h.mark(mark{position: p, when: now})
}

// Is notes that the copy is the share itself, at a position that has everything that was done.
func (h *History) Is(p Position) { h.mark(mark{position: p, share: true}) }

func (h *History) mark(m mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.marks); n > 0 && m.position.Before(h.marks[n-1].position) { // of a past that did not come to be
		h.marks = nil
	}
	if len(h.marks) >= maxMarks { // every other one: they reach back as far
		for i := range maxMarks / 2 {
			h.marks[i] = h.marks[2*i]
		}
		h.marks = h.marks[:maxMarks/2]
	}
	m.clock = h.clock
	h.marks = append(h.marks, m)
}

// Clear begins anew: another copy is in the place of the one before.
func (h *History) Clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done, h.bytes, h.marks, h.forgot = nil, 0, nil, false
}

// Common is the newest position that the copy had and that is not after one of another copy: that one had it too, if they ever were the same.
func (h *History) Common(other Position) (Position, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.latest(other); i >= 0 {
		return h.marks[i].position, true
	}
	return Position{}, false
}

// Since is what was done since the copy was exactly at a position, or at an older one, from. It answers false when that is not known.
func (h *History) Since(p Position) (since []Change, from Position, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.latest(p)
	if i < 0 {
		return nil, Position{}, false
	}
	clock, known := h.settled(i)
	if !known {
		return nil, Position{}, false
	}
	for c, at := range h.done {
		if at > clock {
			since = append(since, c)
		}
	}
	slices.SortFunc(since, func(a, b Change) int { return cmp.Compare(h.done[a], h.done[b]) })
	return since, h.marks[i].position, true
}

// latest finds the newest mark that is not after a position; with h.mu held.
func (h *History) latest(p Position) int {
	for i, m := range slices.Backward(h.marks) {
		if (m.share || m.position.Exact) && !p.Before(m.position) {
			return i
		}
	}
	return -1
}

// settled is the time up to which everything that was done is in the position of a mark; with h.mu held. What led to the position was gathered after the mark
// before it.
func (h *History) settled(i int) (clock uint64, known bool) {
	if h.marks[i].share {
		return h.marks[i].clock, true
	}
	gathered := h.marks[max(0, i-1)].when
	for j := i; j >= 0; j-- {
		if h.marks[j].share || gathered.Sub(h.marks[j].when) >= Overlap {
			return h.marks[j].clock, true
		}
	}
	return 0, !h.forgot
}

// forget forgets the older half; with h.mu held.
func (h *History) forget() {
	times := slices.Sorted(maps.Values(h.done))
	last := times[len(times)/2]
	h.forgot = true
	for c, at := range h.done {
		if at <= last {
			delete(h.done, c)
			h.bytes -= len(c.Path) + doneBytes
		}
	}
	h.marks = slices.DeleteFunc(h.marks, func(m mark) bool { return m.clock < last })
}
