package sim

import (
	"maps"
	"slices"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/promote"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// promotion is one run of hafs-promote or hafs-probe: it decides, and has the decision chosen, again from the start when another came first.
type promotion struct {
	s        *server
	unit     string
	decide   func(current record.Record, then func(record.Record, error))
	begun    decision
	over     func()
	rounds   int
	current  record.Record
	wanted   record.Record
	proposal *agree.Proposal
	question int // what does not belong to the latest question is late
}

// promote starts a unit unless it runs.
func (s *server) promote(unit string, decide promote.Decision, over func()) {
	s.start(&promotion{unit: unit, over: over, decide: func(current record.Record, then func(record.Record, error)) { then(decide(current)) }})
}

// promoteLater is promote for a decision that asks others first.
func (s *server) promoteLater(unit string, decide func(current record.Record, then func(record.Record, error))) {
	s.start(&promotion{unit: unit, decide: decide})
}

func (s *server) start(p *promotion) {
	if s.promotions[p.unit] {
		return
	}
	s.promotions[p.unit] = true
	p.s = s
	s.after(s.world.between(2*time.Millisecond, 40*time.Millisecond), p.round)
}

// failed reports a lost server. If it is the file sharing server, the replicas are asked how far they are, as hafs-promote asks them.
func (s *server) failed(name string) {
	s.promoteLater("promote@"+name, func(current record.Record, then func(record.Record, error)) {
		lost := func() []string { return promote.Gone(current, []string{name}, s.view()) }
		s.locate(current, lost, func(gone []string, positions repair.Positions) { then(repair.Repair(current, gone, positions)) })
	})
}

// view is what linkcheck knows of its peers.
func (s *server) view() map[string]link.Peer {
	view := map[string]link.Peer{}
	for _, p := range s.peers {
		if p != nil {
			view[p.to.name] = link.Peer{Verdict: p.times.At(s.time(), s.settings), Facts: p.facts.Facts}
		}
	}
	return view
}

// probe takes one failed server back that is fit.
func (s *server) probe() {
	for _, name := range s.record.WithStatus(record.Failed) {
		p := s.peers[s.world.byName[name].index]
		if p == nil || p.verdict != link.Alive || promote.Unfit(p.facts.Facts, *s.record) != "" {
			continue
		}
		s.promote("probe", func(current record.Record) (record.Record, error) { return repair.Admit(current, name) }, nil)
		return
	}
}

// again proposes the record as it is, so that a half chosen generation is finished.
func (s *server) again() {
	generation := s.record.Generation
	s.promote("finish", func(current record.Record) (record.Record, error) {
		if current.Generation != generation {
			return record.Record{}, repair.Nothing{Reason: "finished"}
		}
		next := current.Clone()
		next.Generation++
		return next, nil
	}, nil)
}

func (p *promotion) round() {
	current := *p.s.disk.record
	p.begun = p.s.world.begin(&current)
	p.decide(current, func(next record.Record, err error) { p.propose(current, next, err) })
}

func (p *promotion) propose(current, next record.Record, err error) {
	s := p.s
	if err != nil || p.rounds == promote.MaxRounds {
		s.world.say(s, "%s: %v", p.unit, err)
		p.end()
		return
	}
	p.rounds++
	p.current, p.wanted = current, next
	s.world.say(s, "%s proposes %s", p.unit, describe(&next))
	s.world.data.decide(p.begun, &current, &next)
	p.proposal = agree.NewProposal(s.name, current, next, func(limit time.Duration) time.Duration { return s.world.between(0, limit) })
	p.drive()
}

func (p *promotion) end() {
	delete(p.s.promotions, p.unit)
	if p.over != nil {
		p.over()
	}
}

// drive does what the proposal wants next, over virtual time.
func (p *promotion) drive() {
	p.question++
	question := p.question
	phase, ballot, value := p.proposal.Question()
	s := p.s
	switch phase {
	case agree.Waiting:
		s.after(p.proposal.Pause(), func() {
			p.proposal.Resume()
			p.drive()
		})
	case agree.Preparing, agree.Accepting:
		kind := link.Prepare
		if phase == agree.Accepting {
			kind = link.Accept
		}
		silent := map[string]bool{}
		for _, name := range p.proposal.Members() {
			silent[name] = true
			to := s.world.byName[name]
			if !s.reaches(to) {
				continue
			}
			lease := s.handOver(value)
			ask(s, to, func(respond func(agree.Answer)) { to.vote(s, kind, ballot, value, lease, respond) }, func(a agree.Answer) {
				delete(silent, name)
				if question != p.question {
					return
				}
				p.proposal.Hear(name, phase, ballot, a)
				p.moved(phase)
			})
		}
		s.after(agree.RoundTime, func() {
			if question != p.question {
				return
			}
			if s.world.rules.silentIsYes {
				for _, name := range slices.Sorted(maps.Keys(silent)) {
					p.proposal.Hear(name, phase, ballot, agree.Answer{Yes: true, Promised: ballot})
				}
			}
			p.proposal.Close()
			p.drive()
		})
	case agree.Decided:
		chosen, _ := p.proposal.Result()
		p.install(chosen)
	case agree.GaveUp:
		_, err := p.proposal.Result()
		s.world.say(s, "%s gives up: %v", p.unit, err)
		p.end()
	}
}

func (p *promotion) moved(phase agree.Phase) {
	if now, _, _ := p.proposal.Question(); now != phase {
		p.drive()
	}
}

// install tells all servers, as agree.Choose does.
func (p *promotion) install(chosen record.Record) {
	s := p.s
	s.world.say(s, "%s: chosen %s", p.unit, describe(&chosen))
	for _, to := range s.world.servers {
		if s.reaches(to) {
			ask(s, to, func(respond func(bool)) { to.install(&chosen, false, "chosen, said "+s.name, respond) }, func(bool) {})
		}
	}
	s.after(agree.InstallTime, func() {
		if describe(&chosen) == describe(&p.wanted) {
			p.end()
			return
		}
		p.round()
	})
}

// switchover is the planned move of the role: no more writes, the successor has everything, then the move. Writes stay off until it is decided.
func (s *server) switchover() {
	targets := s.record.DRS1s()
	if !s.serves() || len(targets) == 0 || s.promotions["switchover"] {
		return
	}
	target := targets[s.world.rng.IntN(len(targets))]
	has := func(r *record.Record) bool {
		pair := r.PairOf(target)
		return r == s.record && pair >= 0 && pair < len(s.acks) && s.acks[pair] == len(s.leading.ops) && len(s.leading.untold) == 0 && s.serves()
	}
	s.draining = true
	s.world.say(s, "switchover to %s: drains", target)
	tries := 0
	var wait func()
	wait = func() {
		if tries++; !has(s.record) && tries < 40 && s.isFS() {
			s.after(50*time.Millisecond, wait)
			return
		}
		s.promote("switchover", func(current record.Record) (record.Record, error) {
			if !has(s.record) || current.Generation != s.record.Generation {
				return record.Record{}, repair.Refusal{Reason: target + " does not have everything"}
			}
			return repair.Switchover(current, target)
		}, func() { s.draining = false })
	}
	wait()
}
