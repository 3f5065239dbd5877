package mirror

import (
	"sync"
	"time"

	"hafs/lib/replication/change"
)

// numbering is which numbers the positions of a server's copy have. The file sharing server numbers the share's changes. Whoever is fed counts its own, to know what its
// replicas have, and tells them the positions that it was told: so those of all copies are of one kind.
type numbering struct {
	mu      sync.Mutex
	leading bool   // this server is the file sharing server
	since   uint64 // the generation in which it became that
	origins []origin
}

// origin is a position that this server was told, and how many changes of its copy it had counted by then.
type origin struct {
	position change.Position
	number   uint64
}

// maxOrigins is more than what is under way to a replica.
const maxOrigins = 8192

func (n *numbering) lead(generation uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if generation > 0 && !n.leading {
		n.since, n.origins = generation, nil
	}
	n.leading = generation > 0
}

func (n *numbering) leads(generation uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leading && generation >= n.since
}

// reached notes a position, and says whether it is the first, or the same again: then this server's own replicas are to hear of it though nothing was written.
func (n *numbering) reached(p change.Position, number uint64) (quiet bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := len(n.origins) - 1
	quiet = last < 0 || n.origins[last].position == p
	if len(n.origins) >= maxOrigins {
		n.origins = append([]origin(nil), n.origins[maxOrigins/2:]...)
	}
	n.origins = append(n.origins, origin{p, number})
	return quiet
}

// of is the position of a replica that has everything up to a number, all: that is all there is; false: there is none to tell.
func (n *numbering) of(generation, number uint64, all bool) (change.Position, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leading {
		return change.Position{Generation: generation, Number: number, Complete: true, Exact: all}, generation >= n.since
	}
	for i := len(n.origins) - 1; i >= 0; i-- {
		if o := n.origins[i]; o.number <= number {
			// What was reported since is of a batch that is under way here: the replica has its beginning, before there is a position that has it.
			o.position.Exact = o.position.Exact && all && o.number == number
			return o.position, true
		}
	}
	return change.Position{}, false
}

// Lead tells in which generation this server is the file sharing server, before Keep does; 0: it is not. It is for a Mirror with a History.
func (m *Mirror) Lead(generation uint64) { m.numbering.lead(generation) }

// Reached tells that this server's copy has come to a position, as whoever feeds it says.
func (m *Mirror) Reached(p change.Position) {
	if !p.Complete {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.History != nil {
		m.History.Reached(p, time.Now())
	}
	if m.numbering.reached(p, m.number) {
		m.say()
	}
}

// remember tells the history of a change that was reported; with m.mu held.
func (m *Mirror) remember(c change.Change) {
	if m.History == nil {
		return
	}
	m.reach()
	m.History.Do(c)
}

// reach tells the history the position of the file sharing server; with m.mu held.
func (m *Mirror) reach() {
	if m.numbering.leads(m.generation) {
		m.History.Is(change.Position{Generation: m.generation, Number: m.number, Complete: true, Exact: true})
	}
}

// here makes the newest position one that others may have in common.
func (m *Mirror) here() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.History != nil {
		m.reach()
	}
}

// position is that of a replica which has everything up to a number; all: it is then like the share, but for what comes or is not told yet.
func (m *Mirror) position(generation, number uint64, all bool) (change.Position, bool) {
	if m.History == nil {
		return change.Position{Generation: generation, Number: number, Complete: true}, true
	}
	return m.numbering.of(generation, number, all)
}
