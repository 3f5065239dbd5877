package sim

import (
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
)

type pause int

const (
	running   pause = iota
	frozen          // nothing runs, the clock does
	suspended       // the clock stands too: when it wakes, the server believes no time has passed
)

// server is one machine. What linkcheck holds is gone when the process ends, what disk holds is not.
type server struct {
	world       *world
	index       int
	name        string
	clock       clock
	up          bool
	pause       pause
	held        []event // what came while it was paused
	incarnation int
	resumed     time.Time     // when it last woke from a suspension
	examination time.Duration // of its settings, from the next start on
	noted       bool          // /run/hafs/confirmed, which does not survive a boot
	acted       uint64        // newest generation it ever acted in
	served      bool          // for the story
	disk        disk
	data        *replica
	linkcheck
	mirror
}

// linkcheck is the state of hafs-linkcheck and of what it started.
type linkcheck struct {
	record     *record.Record
	confirmed  bool
	peers      []*peer   // by index; nil: no link
	fsHeard    time.Time // when the file sharing server was heard last, or its record installed or read
	sought     []uint64  // the latest lease each server asked for
	voted      uint64    // the latest generation this server voted for, or is about to
	newer      map[string]uint64
	due        map[string]time.Time
	probeDue   time.Time
	fitAt      time.Time
	learning   bool
	nudged     bool
	jobs       []func(finish func())
	promotions map[string]bool

	settings time.Duration // the examination time this run has
	started  time.Time
	times    lease.Times
	says     map[string]time.Duration // the examination time each server said last

	serving  serving
	draining bool
	acks     []int // how many operations each pair has
	promised int   // of the operations that it has told of
	batch    uint64
}

// peer is the link to another server.
type peer struct {
	to          *server
	times       link.Times
	verdict     link.Verdict
	connected   bool
	incarnation int // of the process at the other end
	since       time.Time
	dialDue     time.Time
	facts       facts
}

// facts are what a heartbeat's answer says.
type facts struct {
	link.Facts
	voted uint64
}

func newServer(w *world, index int, name string, first *record.Record) *server {
	return &server{world: w, index: index, name: name, examination: examination, clock: newClock(w.rng, w.rates(index)), disk: disk{record: first, syncedRecord: first}}
}

// time is what this server's clock shows.
func (s *server) time() time.Time { return time.Unix(0, 0).Add(s.clock.local(s.world.now)) }

// have is the record it acts in, or the one on its disk while it is down.
func (s *server) have() *record.Record {
	if s.record != nil {
		return s.record
	}
	return s.disk.record
}

func (s *server) isFS() bool { return s.record != nil && s.record.FS.Name == s.name }

// after sets a timer by this server's own clock.
func (s *server) after(local time.Duration, do func()) {
	w := s.world
	due := s.clock.local(w.now) + local
	w.queue.push(event{at: w.now + s.clock.span(local), server: s, timer: true, incarnation: s.incarnation, due: due, do: do})
}

// boot starts the processes: after a power loss, or when only they were killed.
func (s *server) boot(onlyProcesses bool) {
	if s.up {
		return
	}
	w := s.world
	s.up, s.pause, s.held = true, running, nil
	s.incarnation++
	if !onlyProcesses {
		s.noted = false
	}
	if w.rules.forgetVote {
		s.disk.vote, s.disk.syncedVote = agree.Vote{}, agree.Vote{}
	}
	if !w.rules.neverKeep && !w.rules.skipSync {
		s.disk.keep()
	}
	w.checkLoaded(s)
	now := s.time()
	n := len(w.servers)
	s.linkcheck = linkcheck{
		record: s.disk.record, confirmed: s.noted, peers: make([]*peer, n), sought: make([]uint64, n), newer: map[string]uint64{},
		due: map[string]time.Time{}, promotions: map[string]bool{},
		settings: s.examination, started: now, says: map[string]time.Duration{},
		fitAt: now.Add(w.between(300*time.Millisecond, 1500*time.Millisecond)),
	}
	s.serving.term = uint64(s.incarnation) << 32
	s.mirror = s.newMirror()
	s.remember()
	s.become()
	w.say(s, "starts, confirmed %t", s.confirmed)
	s.after(w.between(0, link.Interval(s.settings)), s.tick)
	s.after(w.between(0, dataInterval), s.replicate)
}

// end stops the processes.
func (s *server) end() {
	if s.pause == running {
		s.breakOff()
	}
	s.up, s.pause, s.held, s.jobs = false, running, nil, nil
	s.incarnation++
}

func (s *server) powerLoss(why string) {
	if !s.up {
		return
	}
	s.world.counts.Crashes++
	s.world.say(s, "loses power %s", why)
	if s.pause == suspended {
		s.clock.resume(s.world.now)
	}
	s.end()
	s.disk.lose(s.world)
	s.data.lose(s.world)
	s.record = nil
	s.world.at(s.world.between(300*time.Millisecond, 8*time.Second), func() { s.boot(false) })
}

func (s *server) kill() {
	if !s.up || s.pause == suspended {
		return
	}
	s.world.counts.Crashes++
	s.world.say(s, "processes killed")
	s.end()
	s.record = nil
	s.world.at(s.world.between(20*time.Millisecond, 500*time.Millisecond), func() { s.boot(true) })
}

func (s *server) stop(how pause, d time.Duration) {
	w := s.world
	if !s.up || s.pause != running {
		return
	}
	s.pause = how
	if how == suspended {
		s.clock.stop(w.now)
	}
	w.say(s, "%s for %s", map[pause]string{frozen: "frozen", suspended: "suspended"}[how], d)
	incarnation := s.incarnation
	w.at(d, func() {
		if s.incarnation == incarnation {
			s.wake()
		}
	})
}

// wake goes on after a pause. What came in the meantime is there at once, in the order in which it came.
func (s *server) wake() {
	w := s.world
	if !s.up || s.pause == running {
		return
	}
	if s.pause == suspended {
		s.clock.resume(w.now)
		s.resumed, s.serving.clean = s.time(), time.Time{}
	}
	s.pause = running
	w.say(s, "wakes")
	held := s.held
	s.held = nil
	for _, e := range held {
		e.at = w.now
		w.queue.push(e)
	}
}
