package sim

import (
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
)

// The lease: lease.Until is the rule, the rest follows link's serving.go and promise.go.

// serving is what the file sharing server knows of its lease.
type serving struct {
	fs      bool // it is the file sharing server in a record it knows to be the newest
	grants  map[string]lease.Grant
	end     time.Time // of the lease; zero: there is none
	clean   time.Time // the same without what was sent before the machine was last suspended
	term    uint64
	resting time.Time // it hands its role over, and seeks no lease before
	stuck   time.Time
}

// become follows the record.
func (s *server) become() {
	v := &s.serving
	fs := s.confirmed && s.isFS()
	if !v.resting.IsZero() {
		v.resting = time.Time{}
		v.term++
	}
	switch {
	case !fs:
		v.grants, v.end, v.clean = nil, time.Time{}, time.Time{}
	case !v.fs:
		v.grants = map[string]lease.Grant{}
	}
	v.fs = fs
	if fs && v.end.IsZero() { // it needs a lease: the next heartbeats must not wait for their time
		s.after(0, func() {
			for _, p := range s.peers {
				if p != nil && p.connected {
					s.beat(p)
				}
			}
		})
	}
}

// seeks is the lease a heartbeat asks for; 0: none.
func (s *server) seeks() uint64 {
	v := &s.serving
	switch {
	case !v.fs || s.time().Before(v.resting):
		return 0
	case !v.resting.IsZero():
		v.resting = time.Time{}
		v.term++
	}
	return v.term
}

// handOver gives the lease up before this server asks for a vote that makes another one the file sharing server.
func (s *server) handOver(asked record.Record) uint64 {
	v := &s.serving
	if !v.fs || asked.FS.Name == s.name {
		return 0
	}
	if v.resting.IsZero() {
		v.term++
	}
	v.resting = s.time().Add(link.RestTime)
	if !s.world.rules.keepLease {
		clear(v.grants)
		v.end, v.clean = time.Time{}, time.Time{}
	}
	return v.term
}

// granted takes the answer to a heartbeat.
func (s *server) granted(p *peer, term uint64, sent time.Time, f facts) {
	v, w, g := &s.serving, s.world, s.record.Generation
	if !v.fs || term == 0 || term != v.term || !v.resting.IsZero() || f.Generation > g || f.voted > g && !w.rules.grantAfterVote {
		return
	}
	if w.rules.fromAnswer {
		sent = s.time()
	}
	given := lease.Grant{Sent: sent, For: s.times.Lend(s.settings, f.Examination)}
	if w.rules.ownTimeAlone {
		given.For = s.settings
	}
	v.grants[p.to.name] = v.grants[p.to.name].Later(given)
	if s.voted <= g || w.rules.grantAfterVote {
		v.grants[s.name] = lease.Grant{Sent: s.time(), For: s.settings}
	}
	v.end = latest(v.end, s.leaseEnd(v.grants))
	if s.resumed.IsZero() {
		v.clean = v.end
		return
	}
	fresh := map[string]lease.Grant{}
	for name, g := range v.grants {
		if g.Sent.After(s.resumed) {
			fresh[name] = g
		}
	}
	v.clean = s.leaseEnd(fresh)
}

func (s *server) leaseEnd(grants map[string]lease.Grant) time.Time {
	end := lease.Until(s.record.Members(), grants)
	if s.world.rules.smallMargin && !end.IsZero() {
		return end.Add(examination / 20)
	}
	return end
}

// serves says whether this server would take a client's operation now.
func (s *server) serves() bool {
	return s.up && s.pause != suspended && s.isFS() && s.holds(s.serving.end)
}

// servesClean leaves out what only a suspended clock believes.
func (s *server) servesClean() bool { return s.serves() && s.holds(s.serving.clean) }

func (s *server) holds(end time.Time) bool {
	return s.time().Before(end) || s.world.rules.serveOn && !end.IsZero()
}

// finish has the file sharing server bring a vote to its end whose proposer is gone: those who voted grant it nothing.
func (s *server) finish() {
	v, g := &s.serving, s.record.Generation
	voted := s.voted > g
	for _, name := range s.record.Members() {
		if p := s.peers[s.world.byName[name].index]; p != nil && p.verdict == link.Alive && p.facts.voted > g {
			voted = true
		}
	}
	now := s.time()
	switch {
	case !voted || !s.confirmed || !s.isFS():
		v.stuck = time.Time{}
	case v.stuck.IsZero():
		v.stuck = now
	case now.Sub(v.stuck) >= link.StuckTime(s.settings):
		v.stuck = time.Time{}
		s.again()
	}
}

// remember is what a voter must know when it starts.
func (s *server) remember() {
	s.fsHeard = s.time()
	before := s.disk.times
	if s.world.rules.forgetTimes {
		before = lease.Times{}
	}
	s.times = before.Start(s.settings)
	s.disk.times = s.times // synced before this server answers anybody
	if s.world.rules.noStartWait {
		s.fsHeard = time.Time{}
	}
	if v := s.disk.vote; v.Value != nil && v.Generation > s.record.Generation {
		s.voted = v.Generation
	}
}

// settle forgets examination times that are in force no more.
func (s *server) settle() {
	fsSays, allSay := true, true
	for _, name := range s.record.Members() {
		if says := name == s.name || s.says[name] > 0; !says {
			allSay = false
			fsSays = fsSays && s.record.FS.Name != name
		}
	}
	s.times = s.times.Settle(s.settings, s.time().Sub(s.started), fsSays, allSay)
	s.disk.times = s.times
}

// pace is the examination time by which heartbeats are sent.
func (s *server) pace() time.Duration {
	shortest := s.settings
	if s.isFS() {
		for _, name := range s.record.Members() {
			shortest = s.times.Lend(shortest, s.says[name])
		}
	}
	return shortest
}

// hear notes a heartbeat.
func (s *server) hear(from *server, lease uint64) {
	now := s.time()
	if s.record.FS.Name == from.name {
		s.fsHeard = now
	}
	s.sought[from.index] = max(s.sought[from.index], lease)
	if p := s.peers[from.index]; p != nil {
		p.times.Heard = now
	}
}
