package sim

import (
	"maps"
	"slices"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/replication/change"
)

const (
	openPatience = time.Second // until a greeting is given up that has no answer
	again        = 0.05        // how likely a replica hears its position although there is nothing new, as after a comparison in the background
)

// stream is what a feeder knows of a replica.
type stream struct {
	id    uint64 // of the session
	began time.Time
	open  bool
	whole bool           // everything is to be compared
	queue map[int]uint64 // paths that are to be looked at, with the number of the latest change
	said  uint64         // the generation in which the replica was told its position
}

// batch is what is sent at once.
type batch struct {
	session, number uint64
	generation      uint64 // of the feeder
	whole           bool
	torn            bool // it never comes to its end
	paths           []int
	share           share // the feeder's, as it is
	told            share // as it is at the position
	position        *change.Position
}

// feed sends a replica what it may lack.
func (s *server) feed(to *server) {
	st := s.streams[to.name]
	switch {
	case st == nil || !st.open && s.time().Sub(st.began) > openPatience:
		s.batch++
		st = &stream{id: uint64(s.incarnation)<<32 | s.batch, began: s.time(), queue: map[int]uint64{}}
		s.streams[to.name] = st
		s.greet(to, st)
	case st.open && (st.whole || len(st.queue) > 0 || st.said != s.record.Generation || s.world.chance(again)):
		s.send(to, st)
	}
}

// greet begins a session, and finds out where the replica may differ: mirror's meet.
func (s *server) greet(to *server, st *stream) {
	w, generation := s.world, s.record.Generation
	ask(s, to, func(respond func(change.Position)) { to.greeted(s, generation, st.id, respond) }, func(p change.Position) {
		s.reach()
		common, known := s.history.Common(p)
		if w.rules.commonIsNewest {
			common, known = p, true
		}
		switch {
		case s.streams[to.name] != st || st.open:
		case !p.Complete || !known:
			st.open, st.whole = true, true
		case w.rules.meetBlindly:
			s.met(to, st, done{from: common, known: true})
		default:
			ask(s, to, func(respond func(done)) {
				if to.session.id == st.id && to.session.from == s.name {
					changes, from, known := to.history.Since(common)
					if !known && w.rules.meetAnyway {
						from, known = common, true
					}
					respond(done{changes, from, known})
				}
			}, func(theirs done) { s.met(to, st, theirs) })
		}
	})
}

// done is what a history knows to have been done since a position.
type done struct {
	changes []change.Change
	from    change.Position // it may be an older one
	known   bool
}

func (s *server) met(to *server, st *stream, theirs done) {
	if s.streams[to.name] != st || st.open {
		return
	}
	st.open = true
	ours, _, known := s.history.Since(theirs.from)
	if !known || !theirs.known {
		st.whole = true
		return
	}
	s.world.counts.Met++
	s.world.say(s, "%s is looked at where it may differ, at %d paths since %d/%d", to.name, len(ours)+len(theirs.changes), theirs.from.Generation, theirs.from.Number)
	for _, c := range slices.Concat(ours, theirs.changes) {
		st.queue[pathIn(c)] = s.number
	}
}

// gather makes a batch of all that a replica may lack.
func (s *server) gather(st *stream) batch {
	s.batch++
	b := batch{
		session: st.id, number: s.batch, generation: s.record.Generation, whole: st.whole, paths: slices.Sorted(maps.Keys(st.queue)),
		share: s.data.share, told: s.data.share,
	}
	if o := s.reached; o != nil { // what was told since is of a batch that has no position yet
		at := o.position
		at.Exact = at.Exact && (o.number == s.number || s.world.rules.alwaysExact)
		b.position = &at
	}
	if s.isFS() {
		at := s.at()
		b.position, b.told = &at, s.leading.told
	}
	return b
}

// breakOff leaves a replica with a part of what this server was sending when its process ended.
func (s *server) breakOff() {
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		if st := s.streams[name]; st.open && s.world.chance(0.5) {
			to, b := s.world.byName[name], s.gather(st)
			b.torn = true
			s.world.send(s, to, func() { to.fed(s, b, func(bool) {}) })
		}
	}
}

// send sends one batch. The file sharing server notes the answers of pairs.
func (s *server) send(to *server, st *stream) {
	b := s.gather(st)
	number, has := s.number, len(s.leading.ops)
	ask(s, to, func(respond func(bool)) { to.fed(s, b, respond) }, func(done bool) {
		switch {
		case s.streams[to.name] != st:
			return
		case !done:
			delete(s.streams, to.name)
			return
		}
		st.whole, st.said = st.whole && !b.whole, max(st.said, b.generation)
		maps.DeleteFunc(st.queue, func(_ int, n uint64) bool { return n <= number })
		if pair := s.record.PairOf(to.name); pair >= 0 && s.isFS() && s.record.Generation == b.generation {
			s.acknowledged(pair, has)
		}
	})
}

// lets says whether hafs-gate lets something of a server in.
func (s *server) lets(from *server, generation uint64) bool {
	return s.world.rules.openGate ||
		gate.Allow(*s.record, s.name, from.name, gate.Standing{Confirmed: s.confirmed}, gate.Order{Kind: gate.Replica, Generation: generation}) == nil
}
