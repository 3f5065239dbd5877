package link

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
)

// serving is the one place that knows whether this server has the lease of FS, and keeps the two things that show it: the lease's file and the
// virtual address. Nothing here asks anybody: the heartbeats that are sent anyway bring the answers.
type serving struct {
	self        string
	examination time.Duration
	acts        acts
	// lend is for how long an answer counts of a server that says this examination time; 0: it says none.
	lend func(said time.Duration) time.Duration
	// bound says whether this server has voted for a generation after this one: then it counts for no lease, its own neither.
	bound func(generation uint64) bool
	log   zerolog.Logger

	mu        sync.Mutex
	latest    uint64        // the newest generation that was told, whatever this server is in it
	record    record.Record // the one in which this server is FS; generation 0: it is not FS
	grants    map[string]lease.Grant
	until     time.Time // end of the lease; zero: there is none
	written   time.Time // when the file was last renewed
	refreshed time.Time // when the address was
	expiry    *time.Timer
	problem   string // of the last renewal

	term    uint64    // a lease this server seeks or has
	resting time.Time // it hands its role over and seeks none before this moment
}

// acts are what serving does to this server, so that tests need no network.
type acts struct {
	hold   func(r record.Record, lifetime time.Duration, fresh bool) error // gives it the virtual address; the kernel takes it back after the lifetime
	drop   func(r record.Record) error                                     // takes the address away
	note   func(r record.Record, remaining time.Duration) error            // writes the lease's file
	forget func() error                                                    // removes it
}

// RestTime is how long FS seeks no lease after it asked for a vote that hands its role over: the question has had its answer or lost it by then.
const RestTime = 2 * AskPatience

func newServing(self string, examination time.Duration, a acts, bound func(uint64) bool, log zerolog.Logger) *serving {
	// Terms of one server must grow, also when this program starts again.
	s := &serving{self: self, examination: examination, acts: a, bound: bound, log: log, term: uint64(time.Now().UnixNano())}
	s.lend = func(said time.Duration) time.Duration {
		return lease.Times{}.Start(examination).Lend(examination, said)
	}
	return s
}

// become takes a record that is known to be the newest. A server that is FS in it no more has lost lease and address when this returns. It says whether
// a lease is needed.
func (s *serving) become(r record.Record, fs bool) (needed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Generation <= s.latest {
		return false
	}
	first, before := s.latest == 0, s.record
	s.latest = r.Generation
	if !s.resting.IsZero() { // what it asked for is decided
		s.resting = time.Time{}
		s.term++
	}
	if !fs {
		s.record, s.grants = record.Record{}, nil
		if before.Generation > 0 {
			s.lose(before)
		} else if first { // an earlier run of this program may have left something
			s.lose(r)
		}
		return false
	}
	s.record = r
	if before.Generation == 0 {
		s.grants = map[string]lease.Grant{}
	}
	// A lease goes on in the next generation: nobody helps to replace its FS before the examination time has passed since it was installed.
	if !s.until.IsZero() {
		if before.FS.VirtualAddress != r.FS.VirtualAddress {
			s.complain(s.acts.drop(before))
			s.refreshed = time.Time{}
		}
		s.show(time.Now(), true)
	}
	if len(r.Members()) == 1 { // nobody will answer
		s.renew()
	}
	return s.until.IsZero()
}

// seeks is the lease that a heartbeat asks for; 0: none.
func (s *serving) seeks() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.record.Generation == 0 || time.Now().Before(s.resting):
		return 0
	case !s.resting.IsZero():
		s.resting = time.Time{}
		s.term++
	}
	return s.term
}

// handOver gives the lease up before this server asks anybody to vote for another FS, and returns a term later than that of any heartbeat sent so
// far. A voter that hears a heartbeat of a still later term does not listen to the question any more.
func (s *serving) handOver() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resting.IsZero() {
		s.term++
	}
	s.resting = time.Now().Add(RestTime)
	clear(s.grants)
	if !s.until.IsZero() {
		s.lose(s.record)
		s.log.Info().Str("event", "lease_lost").Uint64("generation", s.record.Generation).Msg("gave the lease up to hand the role over")
	}
	return s.term
}

// answered takes the answer to a heartbeat that was sent at a moment.
func (s *serving) answered(name string, q Request, sent time.Time, f Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.record.Generation
	switch {
	case g == 0, q.Lease == 0, q.Lease != s.term, !s.resting.IsZero():
		return // it asked for no lease, or for one that was given up
	case !q.Healthy || !f.Healthy:
		return // who hears that FS is not well has promised nothing
	case f.Cluster != s.record.Cluster, f.Generation > g, f.Voted > g:
		return
	}
	s.grants[name] = s.grants[name].Later(lease.Grant{Sent: sent, For: s.lend(f.Examination)})
	s.renew()
}

// renew makes the lease as long as the answers allow; mu is held.
func (s *serving) renew() {
	g, now := s.record.Generation, time.Now() // before asking: a vote that comes in between is later
	if !s.bound(g) {
		s.grants[s.self] = lease.Grant{Sent: now, For: s.examination}
	}
	until := lease.Until(s.record.Members(), s.grants)
	if !until.After(s.until) || !until.After(now) {
		return
	}
	gained := s.until.IsZero()
	s.until = until
	if gained {
		s.log.Info().Str("event", "lease").Uint64("generation", g).Dur("lasts_ms", until.Sub(now)).Msg("has the lease")
	}
	s.show(now, gained)
	if s.expiry == nil {
		s.expiry = time.AfterFunc(s.pause(), s.expire)
	}
}

// pause is until the lease must be looked at: when it ends or, in a cluster of one, when it is time to renew it.
func (s *serving) pause() time.Duration {
	left := time.Until(s.until)
	if len(s.record.Members()) == 1 {
		left = min(left, Interval(s.examination))
	}
	return left
}

// show renews the file and the address, the address less often: it costs more, and the kernel keeps it a second at least.
func (s *serving) show(now time.Time, atOnce bool) {
	remaining := s.until.Sub(now)
	var failures error
	if atOnce || now.Sub(s.written) >= Interval(s.examination) {
		if err := s.acts.note(s.record, remaining); err != nil {
			failures = err
		} else {
			s.written = now
		}
	}
	lifetime := max(time.Second, remaining.Truncate(time.Second))
	if atOnce || now.Sub(s.refreshed) >= lifetime/4 {
		if err := s.acts.hold(s.record, lifetime, s.refreshed.IsZero()); err != nil {
			failures = errors.Join(failures, err)
		} else {
			s.refreshed = now
		}
	}
	s.complain(failures)
}

// complain logs a failure once, not at each renewal.
func (s *serving) complain(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != s.problem {
		s.log.Error().Err(err).Msg("cannot show the lease")
	}
	s.problem = problem
}

// expire runs when the lease ends, unless it was renewed meanwhile.
func (s *serving) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry = nil
	if s.until.IsZero() {
		return
	}
	if len(s.record.Members()) == 1 && s.resting.IsZero() {
		s.renew()
	}
	if s.expiry == nil && time.Until(s.until) > 0 {
		s.expiry = time.AfterFunc(s.pause(), s.expire)
	}
	if s.expiry != nil {
		return
	}
	s.lose(s.record)
	s.log.Warn().Str("event", "lease_lost").Uint64("generation", s.record.Generation).
		Msg(fmt.Sprintf("no majority of the %d members has answered within the examination time", len(s.record.Members())))
}

// lose ends what the lease stands for; mu is held.
func (s *serving) lose(r record.Record) {
	s.until, s.refreshed = time.Time{}, time.Time{}
	s.complain(errors.Join(s.acts.drop(r), s.acts.forget()))
}

// leased says whether this server may serve now.
func (s *serving) leased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.until.IsZero() && time.Now().Before(s.until)
}
