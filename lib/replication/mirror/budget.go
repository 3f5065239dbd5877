package mirror

import (
	"slices"
	"sync"
	"time"
)

// DeleteBudget holds deletes back from a replica when much of the share vanishes at once: a share that was wiped by mistake is still there then.
// What is held back stays on the replica until somebody releases it, or it is in the share again.
type DeleteBudget struct {
	Percent int         // of the files of the share that may go within deleteWindow; 100: all
	Applies func() bool // asked for each batch; nil: always

	mu       sync.Mutex
	since    time.Time // of the window
	spent    int       // deletes within it
	limit    int       // of it
	holding  bool
	held     int // deletes that are held back
	released bool
}

const (
	deleteWindow = time.Minute
	// freeDeletes may always go: a small share is emptied now and then.
	freeDeletes = 1000
)

// counts says whether deletes are counted.
func (b *DeleteBudget) counts() bool {
	return b != nil && b.Percent < 100 && (b.Applies == nil || b.Applies())
}

// hold leaves the deletes out of a plan if they are too many. files is how many the share had.
func (b *DeleteBudget) hold(steps []Step, deletes, files int) []Step {
	if !b.counts() || count(steps, Delete) == 0 {
		return steps
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released {
		return steps
	}
	if now := time.Now(); now.Sub(b.since) > deleteWindow {
		b.since, b.spent, b.limit = now, 0, max(freeDeletes, files*b.Percent/100)
	}
	b.spent += deletes
	if !b.holding && b.spent <= b.limit {
		return steps
	}
	b.holding = true
	b.held += deletes
	return slices.DeleteFunc(steps, func(s Step) bool { return s.Op == Delete })
}

// begin begins a comparison of everything, which counts anew what is held back.
func (b *DeleteBudget) begin() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held, b.since = 0, time.Time{}
}

// end ends it. What little is left, or was released, is held back no more.
func (b *DeleteBudget) end() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released || b.held <= b.limit {
		b.holding = false
	}
	if b.released {
		b.held, b.released = 0, false
	}
}

// Held counts the deletes that are held back.
func (b *DeleteBudget) Held() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Release lets the deletes of the next comparison of everything go.
func (b *DeleteBudget) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
}

// release lets the deletes go that are held back.
func (m *Mirror) release(q Request) Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := Answer{Held: map[string]int{}, OK: true}
	found := q.Replica == ""
	for _, r := range m.replicas {
		if q.Replica != "" && r.wanted.Name != q.Replica {
			continue
		}
		found = true
		s, is := r.transport.(*Stream)
		if !is || s.Held() == 0 {
			continue
		}
		a.Held[r.wanted.Name] = s.Held()
		if !q.DryRun {
			s.Deletes.Release()
			r.compareAgain()
		}
	}
	if !found {
		return Answer{Refused: q.Replica + " is no replica of this server"}
	}
	return a
}
