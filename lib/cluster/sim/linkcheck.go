package sim

import (
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
)

// tick sends heartbeats over the links and reconciles.
func (s *server) tick() {
	s.adjustLinks()
	now := s.time()
	for _, p := range s.peers {
		switch {
		case p == nil:
		case !p.connected:
			s.dial(p, now)
		case now.Sub(latest(p.since, p.times.Answered)) > max(s.settings, link.DialPatience):
			p.connected = false
		default:
			s.beat(p)
		}
	}
	s.reconcile()
	s.after(link.Interval(s.pace()), s.tick)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// adjustLinks starts the links that are wanted and stops the others.
func (s *server) adjustLinks() {
	wanted := make([]bool, len(s.peers))
	for _, name := range link.Wanted(*s.record, s.name, s.confirmed) {
		to := s.world.byName[name]
		wanted[to.index] = true
		if s.peers[to.index] == nil {
			now := s.time()
			s.peers[to.index] = &peer{to: to, verdict: link.Unknown, times: link.Times{Watched: now, Grace: link.FirstAnswerGrace(s.record.Generation)}}
		}
	}
	for i := range s.peers {
		if !wanted[i] {
			s.peers[i] = nil
		}
	}
}

// dial opens a link: it needs a way there and back, so that no heartbeat goes on for long over a cable that is cut in one direction.
func (s *server) dial(p *peer, now time.Time) {
	if now.Before(p.dialDue) {
		return
	}
	p.dialDue = now.Add(link.RedialPause)
	if p.verdict == link.Lost {
		p.dialDue = now.Add(link.FailedPause)
	}
	ask(s, p.to, func(respond func(int)) { respond(p.to.incarnation) }, func(incarnation int) {
		if !p.connected && s.peers[p.to.index] == p {
			p.connected, p.incarnation, p.since = true, incarnation, s.time()
			s.beat(p)
		}
	})
}

// beat is one heartbeat. A connection to a process that has ended is found out.
func (s *server) beat(p *peer) {
	sent, generation, incarnation, lease, examination := s.time(), s.record.Generation, p.incarnation, s.seeks(), s.settings
	ask(s, p.to, func(respond func(*facts)) {
		if p.to.incarnation != incarnation {
			respond(nil)
			return
		}
		respond(p.to.beaten(s, generation, lease, examination))
	}, func(f *facts) {
		if f == nil {
			if p.incarnation == incarnation {
				p.connected = false
			}
			return
		}
		if s.peers[p.to.index] == p && s.time().Sub(sent) <= s.settings {
			s.answered(p, lease, sent, *f)
		}
	})
}

// beaten answers a heartbeat.
func (s *server) beaten(from *server, generation, lease uint64, examination time.Duration) *facts {
	s.hear(from, lease)
	s.says[from.name] = examination
	if generation > s.record.Generation {
		s.newer[from.name] = generation
		s.nudge()
	}
	f := &facts{voted: s.voted}
	f.Cluster, f.Generation, f.Healthy, f.Examination = s.record.Cluster, s.record.Generation, true, s.settings
	f.Fit = s.record.Role(s.name) == record.RoleFailed && s.confirmed && !s.time().Before(s.fitAt)
	return f
}

// answered takes a heartbeat's answer.
func (s *server) answered(p *peer, lease uint64, sent time.Time, f facts) {
	if sent.After(p.times.Answered) {
		p.times.Answered, p.facts = sent, f
	}
	s.says[p.to.name] = f.Examination
	newer := f.Generation > s.record.Generation
	if newer {
		s.newer[p.to.name] = f.Generation
	}
	if newer || !s.confirmed {
		s.nudge()
	}
	s.granted(p, lease, sent, f)
	now := s.time()
	if link.Returning(*s.record, s.name, p.to.name, f.Facts) && !now.Before(s.probeDue) {
		s.probeDue = now.Add(2 * s.settings)
		if s.confirmed {
			s.probe()
		}
	}
}

// nudge reconciles soon.
func (s *server) nudge() {
	if s.nudged {
		return
	}
	s.nudged = true
	s.after(0, func() {
		s.nudged = false
		s.reconcile()
	})
}

func (s *server) reconcile() {
	s.judge()
	if s.learning {
		return
	}
	if from, _ := link.Newest(s.record.Generation, s.newer); from != "" {
		clear(s.newer)
		s.learn(s.world.byName[from])
		return
	}
	s.settle()
	s.confirm()
	s.report()
	s.finish()
}

// judge notes verdicts that changed.
func (s *server) judge() {
	now := s.time()
	for _, p := range s.peers {
		if p == nil {
			continue
		}
		if to := p.times.At(now, s.settings); to != p.verdict {
			if to == link.Lost && s.record.Role(p.to.name) != record.RoleFailed {
				s.world.say(s, "has lost %s", p.to.name)
			}
			p.verdict = to
		}
		if left := p.times.Deadline(s.settings).Sub(now); left > 0 && left < link.Interval(s.settings) {
			s.after(left, s.reconcile)
		}
	}
}

// learn fetches a newer generation.
func (s *server) learn(from *server) {
	s.learning = true
	over := func() { s.learning = false }
	s.after(link.AskPatience, over)
	if !s.reaches(from) {
		over()
		return
	}
	ask(s, from, func(respond func(*record.Record)) { respond(from.record) }, func(r *record.Record) {
		s.install(r, true, "learnt from "+from.name, func(bool) {
			over()
			s.nudge()
		})
	})
}

func (s *server) confirm() {
	if s.confirmed {
		return
	}
	generations := map[string]uint64{}
	for _, p := range s.peers {
		if p != nil && p.verdict == link.Alive {
			generations[p.to.name] = p.facts.Generation
		}
	}
	standing := link.Stand(*s.record, s.name, generations)
	if standing.Newer != "" {
		s.newer[standing.Newer] = generations[standing.Newer]
		s.nudge()
		return
	}
	if standing.Confirmed {
		s.confirmed, s.noted = true, true
		s.world.say(s, "a majority has the same generation")
		s.become()
	}
}

func (s *server) report() {
	if !s.confirmed {
		return
	}
	lost := map[string]bool{}
	for _, p := range s.peers {
		if p != nil && p.verdict == link.Lost {
			lost[p.to.name] = true
		}
	}
	start, wait := link.Due(s.time(), s.due, link.Reports(*s.record, s.name, lost, s.settings/2), 2*s.settings)
	for _, name := range start {
		s.failed(name)
	}
	if wait > 0 && wait < link.Interval(s.settings) {
		s.after(wait, s.reconcile)
	}
}

// reaches says whether a question to a server would be tried.
func (s *server) reaches(to *server) bool {
	p := s.peers[to.index]
	return to == s || p == nil || p.connected || p.verdict != link.Lost
}

// vote answers a prepare or an accept, one at a time, from the disk.
func (s *server) vote(from *server, kind link.Kind, b agree.Ballot, wanted record.Record, lease uint64, respond func(agree.Answer)) {
	s.job(func(finish func()) {
		w := s.world
		voter := link.Voter{
			Self: s.name, Have: *s.record, Confirmed: s.confirmed, HandsOver: s.record.FS.Name == from.name && lease > s.sought[from.index],
			Silence: s.time().Sub(s.fsHeard), Examination: s.times.Longest,
		}
		if w.rules.noLeaseWait {
			voter.Silence = time.Hour
		}
		if a, refused := voter.Refusal(from.name, wanted); refused {
			respond(a)
			finish()
			return
		}
		vote := s.disk.vote
		switch {
		case vote.Generation > wanted.Generation:
			finish() // an error, as in agree.Store.Load
			return
		case vote.Generation < wanted.Generation:
			vote = agree.Vote{Generation: wanted.Generation}
		}
		if w.rules.noBallots {
			vote.Promised, b = agree.Ballot{}, agree.Ballot{Round: 1}
		}
		next, a := link.Cast(vote, kind, b, wanted)
		if !a.Yes {
			respond(a)
			finish()
			return
		}
		if kind == link.Accept {
			s.voted = wanted.Generation // from here on, before the disk has it, its answers count for no lease
			w.say(s, "votes for %s, asked by %s with %s", describe(&wanted), from.name, b)
		}
		s.saveVote(next, func() {
			if kind == link.Accept {
				w.history.vote(w, s, b, *next.Value)
			}
			respond(a)
			finish()
		})
	})
}

// install makes a chosen record current if it may.
func (s *server) install(r *record.Record, learnt bool, how string, respond func(done bool)) {
	s.job(func(finish func()) {
		end := func(done bool) {
			respond(done)
			finish()
		}
		have := s.record
		next := have.Generation + 1
		if learnt {
			next = r.Generation
		}
		if r.Generation != next || r.Generation <= have.Generation {
			end(r.Generation == have.Generation) // what Succeeds would say, without the cost of a digest
			return
		}
		if err := r.Succeeds(*have, next); err != nil {
			s.world.fail("I2", "%s: %v", s.name, err)
		}
		s.saveRecord(r, func() {
			s.adopt(have, r, how)
			end(true)
		})
	})
}

// adopt acts in a generation from now on.
func (s *server) adopt(have, r *record.Record, how string) {
	w := s.world
	s.record, s.acted = r, r.Generation
	s.fsHeard = s.time() // from now on it keeps to this file sharing server as if it had heard it
	clear(s.due)
	w.say(s, "installs %s, %s", describe(r), how)
	w.history.install(w, s, r)
	s.acks, s.promised = nil, 0
	if r.Role(s.name) == record.RoleFailed {
		s.fitAt = s.time().Add(w.between(300*time.Millisecond, 1500*time.Millisecond))
	}
	s.data.move(have, r, s.name)
	s.become()
	s.nudge()
}
