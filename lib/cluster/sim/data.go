package sim

import (
	"slices"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

const dataInterval = 100 * time.Millisecond

// replica is a server's copy of the share: the operations it has, in order. It stays through crashes: operations count as durable when they are answered.
type replica struct {
	ops      []int32
	position repair.Position
	filling  bool
	fillEnd  time.Time
	feeder   string
	fed      uint64 // latest batch of that feeder
}

// move keeps what a new generation does not touch. Who gets a place among the replicas is filled first, whatever it holds.
func (d *replica) move(have, next *record.Record, self string) {
	holds := func(r *record.Record) bool {
		return slices.Contains([]record.Role{record.RoleFS, record.RoleDRS1, record.RoleDRS2}, r.Role(self))
	}
	if holds(next) && (!holds(have) || next.Generation != have.Generation+1) && next.FS.Name != self {
		d.position.Complete, d.filling = false, false
	}
}

// replicate is what watch and mirror do: FS takes clients' operations, and every feeder sends what its replica lacks.
func (s *server) replicate() {
	s.after(dataInterval, s.replicate)
	if !s.confirmed {
		return
	}
	w, r := s.world, s.record
	if s.serves() && !s.draining && w.chance(0.7) {
		w.data.written++
		w.counts.Written++
		s.data.ops = append(s.data.ops[:len(s.data.ops):len(s.data.ops)], w.data.written)
	}
	switch r.Role(s.name) {
	case record.RoleFS:
		s.data.position = repair.Position{Complete: true, Generation: r.Generation, Number: uint64(len(s.data.ops))}
		for i, p := range r.Pairs {
			s.feed(p.DRS1, i)
		}
	case record.RoleDRS1:
		if s.data.position.Complete {
			s.feed(r.Pairs[r.PairOf(s.name)].DRS2, -1)
		}
	}
}

// feed sends a replica what this server has; FS notes the answers of pairs.
func (s *server) feed(name string, pair int) {
	if name == record.Trouble {
		return
	}
	s.batch++
	to, generation, incarnation, number, ops, counted := s.world.byName[name], s.record.Generation, s.incarnation, s.batch, s.data.ops, s.data.position.Generation
	ask(s, to, func(respond func(int)) {
		if to.record != nil {
			to.fed(s, generation, counted, uint64(incarnation)<<32|number, ops, respond)
		}
	}, func(has int) {
		if pair >= 0 && s.isFS() && s.record.Generation == generation {
			s.acknowledged(pair, has)
		}
	})
}

// fed takes a batch if hafs-gate would let it in.
func (s *server) fed(from *server, generation, counted, number uint64, ops []int32, respond func(int)) {
	w, d := s.world, s.data
	err := gate.Allow(*s.record, s.name, from.name, gate.Standing{Confirmed: s.confirmed}, gate.Order{Kind: gate.Replica, Generation: generation})
	if err != nil && !w.rules.openGate {
		return
	}
	if d.feeder == from.name && number <= d.fed {
		return // overtaken by a later one: a session keeps order
	}
	w.checkFed(s, from, generation)
	d.feeder, d.fed = from.name, number
	now := s.time()
	if !d.position.Complete || !startsWith(ops, d.ops) {
		if !d.filling { // from nothing, or from something else: a whole pass, during which it is neither the old nor the new
			d.position.Complete, d.filling, d.fillEnd = false, true, now.Add(w.between(100*time.Millisecond, 2*time.Second))
		}
		if now.Before(d.fillEnd) {
			return
		}
	}
	d.ops, d.filling = ops, false
	d.position = repair.Position{Complete: true, Generation: counted, Number: uint64(len(ops))}
	respond(len(ops))
}

func startsWith(ops, start []int32) bool {
	n := len(start)
	return len(ops) >= n && (n == 0 || ops[n-1] == start[n-1]) // an operation is written once, after all before it
}

// acknowledged notes how far a pair has come; what a majority of pairs has is promised to the clients that wait for it.
func (s *server) acknowledged(pair, has int) {
	if len(s.acks) != len(s.record.Pairs) {
		s.acks = make([]int, len(s.record.Pairs))
	}
	s.acks[pair] = max(s.acks[pair], has)
	sorted := slices.Sorted(slices.Values(s.acks))
	safe := sorted[len(sorted)-len(sorted)/2-1]
	if safe > s.promised && s.serves() {
		for _, op := range s.data.ops[s.promised:safe] {
			s.world.data.promise(s.world, op, s)
		}
		s.promised = safe
	}
}
