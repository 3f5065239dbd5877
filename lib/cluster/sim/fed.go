package sim

import (
	"time"

	"hafs/lib/replication/change"
)

const (
	brokenOff   = 0.03 // how likely a batch is broken off: part of it is done, and it leads to no position
	fillSome    = 4    // paths that a comparison of everything has done at each batch that comes meanwhile
	shortFill   = 100 * time.Millisecond
	longestFill = 2 * time.Second
)

// session is what a copy knows of the one who feeds it.
type session struct {
	from    string
	id      uint64
	batch   uint64 // the latest
	over    bool
	busy    bool
	fillEnd time.Time
}

// greeted ends the session before, and says how far this copy is.
func (s *server) greeted(from *server, generation, id uint64, respond func(change.Position)) {
	if s.record == nil || !s.lets(from, generation) || s.session.from == from.name && id <= s.session.id {
		return
	}
	s.session = session{from: from.name, id: id}
	respond(s.data.position)
}

// fed takes a batch; its answer is false when the session is over.
func (s *server) fed(from *server, b batch, respond func(bool)) {
	if s.record == nil || !s.lets(from, b.generation) {
		return
	}
	w, x := s.world, &s.session
	slow, slowest := w.slowness()
	switch {
	case x.from != from.name || x.id != b.session || x.over:
		respond(false)
		return
	case x.busy || b.number <= x.batch: // overtaken by a later one: a session keeps order
		return
	}
	w.checkFed(s, from, b.generation)
	x.batch = b.number
	if b.whole {
		if x.fillEnd.IsZero() {
			x.fillEnd = s.time().Add(w.between(shortFill, longestFill))
		}
		b.paths = nil
		for p := range paths {
			b.paths = append(b.paths, p)
		}
		if s.time().Before(x.fillEnd) { // the copy is neither the old nor the new one
			for range fillSome {
				s.take(w.rng.IntN(paths), b)
			}
			return
		}
	}
	switch {
	case b.torn:
		s.some(b)
		x.over = true
		return
	case w.calm:
	case w.chance(brokenOff):
		s.some(b)
		x.over = true
		s.dies()
		return
	case w.chance(slow):
		s.some(b)
		x.busy = true
		s.after(w.between(0, slowest), func() {
			if x := &s.session; x.from == from.name && x.id == b.session {
				if x.busy = false; !s.lets(from, b.generation) {
					x.over = true
					return
				}
				s.ends(from, b, respond)
			}
		})
		return
	}
	s.ends(from, b, respond)
}

// slowness is how likely a batch takes long, half of it done, and how long at most. A copy may be behind by more than change.Overlap.
func (w *world) slowness() (likely float64, longest time.Duration) {
	if w.tardy {
		return 0.05, 20 * time.Second
	}
	return 0.01, 8 * time.Second
}

// some does half of a batch.
func (s *server) some(b batch) {
	for _, p := range b.paths {
		if s.world.chance(0.5) {
			s.take(p, b)
		}
	}
}

// dies lets the process end at a batch that was broken off, now and then: it may be why.
func (s *server) dies() {
	switch s.world.rng.IntN(12) {
	case 0:
		s.kill()
	case 1:
		s.powerLoss("in a batch")
	}
}

// take makes the copy like the feeder's share at a path.
func (s *server) take(path int, b batch) {
	if same(s.data.share[path], b.share[path]) {
		return
	}
	s.history.Do(look(path))
	s.data.share[path] = b.share[path]
	s.changed(path)
}

// ends does what is left of a batch, notes the position it leads to, and answers it.
func (s *server) ends(from *server, b batch, respond func(bool)) {
	d := s.data
	for _, p := range b.paths {
		s.take(p, b)
	}
	d.synced = d.share
	if b.position != nil {
		s.world.checkCopy(s, from, b)
		s.note(*b.position)
	}
	respond(true)
}

// note keeps a position of this server's copy, and has its own replicas told when it has become whole.
func (s *server) note(p change.Position) {
	before := s.data.position
	s.data.position, s.data.known, s.reached = p, s.data.share, &origin{p, s.number}
	s.history.Reached(p, time.Unix(0, 0).Add(hurry*s.time().Sub(time.Unix(0, 0))))
	if !before.Complete || before.Generation != p.Generation {
		for _, st := range s.streams {
			st.said = 0
		}
	}
}
