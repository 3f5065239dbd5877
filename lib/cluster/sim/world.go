package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/replication/change"
)

const (
	examination = time.Second      // in most worlds; see rollOut
	faultTime   = 20 * time.Second // during which things break
	healTime    = 60 * time.Second // after which a cluster without faults must be whole, with this examination time
	wholeFor    = 2 * examination  // how long it must stay whole
)

// world is one run.
type world struct {
	rng     *rand.Rand
	rules   rules
	tell    bool
	tardy   bool
	story   Story
	failure *Failure
	counts  Counts

	now     time.Duration // true time
	queue   queue
	servers []*server
	byName  map[string]*server
	network network
	skewed  bool          // the first file sharing server's clock is as slow, all others are as fast as may be
	calm    bool          // faults are over
	torn    float64       // how likely a power loss is at each step of a disk
	wholeAt time.Duration // for how long all has been well
	history history
	data    promises
}

func newWorld(seed uint64, o Options) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x4af5)), rules: rulesOf(o.Mutation), tell: o.Tell, tardy: o.Tardy, byName: map[string]*server{}}
	n := o.Servers
	if n == 0 {
		n = 3 + min(w.rng.IntN(13), w.rng.IntN(13)) // small clusters are quicker and no less instructive
	}
	first := w.firstRecord(n)
	w.history.begin(&first)
	w.network.begin(w.rng, n)
	w.skewed = w.rng.IntN(4) == 0
	if w.rng.IntN(2) == 0 {
		w.torn = 0.01
	}
	for i, s := range first.Servers {
		server := newServer(w, i, s.Name, &first)
		w.servers = append(w.servers, server)
		w.byName[s.Name] = server
	}
	for _, s := range w.servers {
		s.data = &replica{position: change.Position{Complete: gate.Feeder(first, s.name) != "", Exact: true, Generation: first.Generation}}
	}
	w.rollOut(seed)
	w.say(nil, "%d servers: %s", n, describe(&first))
	return w
}

// firstRecord draws one to four pairs, DRS2s for some of them, and spares.
func (w *world) firstRecord(n int) record.Record {
	r := record.Record{
		Cluster: "sim", Generation: 7, DataDirectory: "/nfs", ClientMount: "/system",
		FS: record.FileServer{Name: "s1", SharedArea: "/nfs", Link: "/system", VirtualAddress: "10.0.0.254/24"},
	}
	pairs := 1 + w.rng.IntN(min(4, n/2))
	placed := 1
	next := func() string { placed++; return fmt.Sprintf("s%d", placed) }
	for i := range pairs {
		r.Pairs = append(r.Pairs, record.Pair{DRS1: next(), DRS2: record.Trouble})
		r.FS.MountPoints = append(r.FS.MountPoints, fmt.Sprintf("/mp/S%d", i+1))
	}
	for i := range pairs {
		if placed < n && w.rng.IntN(8) > 0 {
			r.Pairs[i].DRS2 = next()
		}
	}
	for i := range n {
		status := record.Active
		if i >= placed {
			status = record.Spare
		}
		r.Servers = append(r.Servers, record.Server{Name: fmt.Sprintf("s%d", i+1), Address: fmt.Sprintf("10.0.0.%d", i+1), Status: status})
	}
	return r
}

// run lets faults happen, heals them, and waits until the cluster is whole.
func (w *world) run() {
	for _, s := range w.servers {
		w.at(w.between(0, 300*time.Millisecond), func() { s.boot(false) })
	}
	w.at(w.between(time.Second, 3*time.Second), w.nextFault)
	w.at(faultTime, w.heal)
	for w.failure == nil && !w.whole() {
		e, more := w.queue.pop()
		if !more {
			w.fail("liveness", "nothing happens any more")
			return
		}
		w.now = e.at
		w.counts.Events++
		w.happen(e)
		w.checkServing()
		if w.now > faultTime+w.healTime() {
			w.fail("liveness", "not whole %s after the last fault: %s", w.healTime(), w.unwhole())
		}
	}
	w.counts.Healing = w.now - faultTime
}

// happen carries one event out, if its server can take it now.
func (w *world) happen(e event) {
	s := e.server
	switch {
	case s == nil:
		e.do()
		return
	case !s.up || e.timer && e.incarnation != s.incarnation:
		return
	case s.pause != running:
		s.held = append(s.held, e)
		return
	case e.timer && s.clock.local(w.now) < e.due:
		e.at = w.now + s.clock.span(e.due-s.clock.local(w.now))
		w.queue.push(e)
		return
	}
	e.do()
}

// at is an event of the world.
func (w *world) at(after time.Duration, do func()) {
	w.queue.push(event{at: w.now + after, do: do})
}

func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) fail(invariant, text string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{Invariant: invariant, At: w.now, Text: fmt.Sprintf(text, args...)}
		w.say(nil, "%s BROKEN: %s", invariant, w.failure.Text)
	}
}

// say adds a line to the story: time, server and its own clock's time, text.
func (w *world) say(s *server, text string, args ...any) {
	if !w.tell {
		return
	}
	name := "     -"
	if s != nil {
		name = fmt.Sprintf("%4s@%-6d", s.name, s.have().Generation)
	}
	w.story = append(w.story, fmt.Sprintf("%s %-12s %s", stamp(w.now), name, fmt.Sprintf(text, args...)))
}

// rates makes the first file sharing server's clock as slow and all others as fast as may be, in every fourth world: what leases have to fear most.
func (w *world) rates(index int) float64 {
	switch {
	case !w.skewed:
		return 0
	case index == 0:
		return 1 - drift
	}
	return 1 + drift
}
