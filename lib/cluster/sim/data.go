package sim

import (
	"slices"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/replication/change"
)

const (
	dataInterval = 100 * time.Millisecond
	burst        = 10 // operations at once, at most
	// tellTime is how long an operation may be in the share before it is told and has a number. Nothing is fed meanwhile that has waited longer: a server that was
	// paused tells first. With the clocks' errors it is within change.Overlap.
	tellTime = 300 * time.Millisecond
	// hurry is how much faster the time of histories runs, so that what change.Overlap lets them name besides does not hide the rest from a run of seconds.
	hurry = 10
	// stride is more than one process numbers: mirror.FirstNumber.
	stride = 1_000_000
)

// replica is what a server's disk has of the share. What was answered is durable, what a batch that was broken off left behind need not be.
type replica struct {
	share    share
	synced   share // what a power loss leaves of it at least
	position change.Position
	known    share  // what it had when it came to that
	first    uint64 // below what the next process numbers
}

// move keeps what a new generation does not touch. A copy that was fed by nobody in some generation is no copy any more, whatever it holds.
func (d *replica) move(have, next *record.Record, self string) {
	if next.Generation != have.Generation+1 || gate.Feeder(*have, self) == "" || gate.Feeder(*next, self) == "" {
		d.position.Complete = false
	}
}

// lose is what a power loss leaves.
func (d *replica) lose(w *world) {
	for p := range d.share {
		if !same(d.share[p], d.synced[p]) && w.chance(0.5) {
			d.share[p] = d.synced[p]
		}
	}
	d.synced = d.share
}

func same(a, b []int32) bool { return len(a) == len(b) && startsWith(a, b) }

// mirror is the memory of the process that feeds others and is fed.
type mirror struct {
	history *change.History
	number  uint64  // of the latest change of this server's copy
	reached *origin // the position that this server was told last; nil: none
	leading leading
	streams map[string]*stream // by replica
	session session            // by which it is fed
}

// origin is a position that a copy was told, and how many changes of its own it had counted by then.
type origin struct {
	position change.Position
	number   uint64
}

// leading is what the file sharing server knows besides.
type leading struct {
	generation uint64 // 0: it is none
	told       share  // without what is not told yet
	ops        []int32
	untold     []untold
}

// untold is an operation that no change was told of yet.
type untold struct {
	op int32
	at time.Duration // true time: the watch is quick, however the clock goes
}

func (s *server) newMirror() mirror {
	m := mirror{history: &change.History{}, number: s.data.first, streams: map[string]*stream{}}
	if !s.world.rules.numberAnew {
		s.data.first += stride
	}
	return m
}

// replicate is what watch and mirror do: FS takes clients' operations, and every feeder sends what its replica lacks.
func (s *server) replicate() {
	s.after(dataInterval, s.replicate)
	if !s.confirmed {
		return
	}
	r := s.record
	var replicas []string
	switch r.Role(s.name) {
	case record.RoleFS:
		s.lead()
		s.operate()
		replicas = r.DRS1s()
	case record.RoleDRS1:
		if s.data.position.Complete {
			replicas = []string{r.Pairs[r.PairOf(s.name)].DRS2}
		}
	}
	if !s.isFS() {
		for _, u := range s.leading.untold {
			s.changed(pathOf(u.op))
		}
		s.leading = leading{}
	}
	for name := range s.streams {
		if !slices.Contains(replicas, name) {
			delete(s.streams, name)
		}
	}
	for _, name := range replicas {
		if name != record.Trouble {
			s.feed(s.world.byName[name])
		}
	}
}

// lead begins to number the share's changes for a generation.
func (s *server) lead() {
	l := &s.leading
	if l.generation == s.record.Generation {
		return
	}
	if l.generation == 0 {
		l.told, s.data.synced = s.data.share, s.data.share
	}
	l.generation, l.ops = s.record.Generation, l.told.all()
}

// operate lets clients write, and tells of it soon. What is written is in the files at once, and a file is sent as it is.
func (s *server) operate() {
	w, l, d := s.world, &s.leading, s.data
	if s.serves() && !s.draining && w.chance(0.7) {
		n := 1
		if w.chance(0.1) {
			n += w.rng.IntN(burst)
		}
		for range n {
			w.data.written++
			w.counts.Written++
			d.share.do(w.data.written)
			l.untold = append(l.untold, untold{w.data.written, w.now})
		}
		d.synced = d.share
	}
	for len(l.untold) > 0 && (w.chance(0.8) || w.now-l.untold[0].at > tellTime) {
		op := l.untold[0].op
		l.untold = l.untold[1:]
		s.changed(pathOf(op))
		l.told.do(op)
		l.ops = append(l.ops, op)
	}
}

// changed tells of a change to this server's copy, which goes on to its own replicas.
func (s *server) changed(path int) {
	s.reach()
	s.history.Do(look(path))
	s.number++
	for _, st := range s.streams {
		st.queue[path] = s.number
	}
}

// reach tells the history of the file sharing server where it is.
func (s *server) reach() {
	if s.leading.generation != 0 {
		s.history.Is(s.at())
	}
}

func (s *server) at() change.Position {
	return change.Position{Generation: s.leading.generation, Number: s.number, Complete: true, Exact: true}
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
		for _, op := range s.leading.ops[s.promised:safe] {
			s.world.data.promise(s.world, op, s)
		}
		s.promised = safe
	}
}
