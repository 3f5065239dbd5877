package agree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hafs/lib/cluster/record"
)

// ErrNoMajority means that too few members answered.
var ErrNoMajority = errors.New("no majority of the members answered")

// Refused is the answer of a majority that could have been reached but said no.
type Refused struct{ Reasons []string }

func (r Refused) Error() string {
	return "the other servers refuse: " + strings.Join(r.Reasons, "; ")
}

const (
	// RoundTime bounds one question to all members; more than ten times what it takes on a busy machine.
	RoundTime = 500 * time.Millisecond
	attempts  = 5 // of outbidding other proposers
	rivalTime = 50 * time.Millisecond
	shortWait = 300 * time.Millisecond
)

// Phase of a proposal.
type Phase int

const (
	Waiting   Phase = iota // for Pause, then Resume
	Preparing              // all members are asked for a promise
	Accepting              // all members are asked for their vote
	Decided                // see Result
	GaveUp                 // see Result
)

// Proposal is one proposer's way to a decision, without clock and network. Whoever drives it asks all members the Question of its phase, passes
// on each answer with Hear, and calls Close when RoundTime is over.
type Proposal struct {
	self    string
	members []string
	wanted  record.Record
	jitter  func(limit time.Duration) time.Duration

	phase   Phase
	attempt int
	ballot  Ballot
	value   record.Record // what the accept asks for, or was chosen
	answers map[string]Answer
	pause   time.Duration
	refusal error
}

// NewProposal starts with the first question. jitter draws a time below a limit; it parts rivals.
func NewProposal(self string, current, wanted record.Record, jitter func(limit time.Duration) time.Duration) *Proposal {
	p := &Proposal{self: self, members: current.Members(), wanted: wanted, jitter: jitter, ballot: Ballot{Round: 1, Proposer: self}}
	p.Resume()
	return p
}

// Question is what to ask now, and of whom.
func (p *Proposal) Question() (Phase, Ballot, record.Record) {
	if p.phase == Accepting {
		return p.phase, p.ballot, p.value
	}
	return p.phase, p.ballot, p.wanted
}

// Members are to be asked.
func (p *Proposal) Members() []string { return p.members }

// Pause is how long to wait before Resume.
func (p *Proposal) Pause() time.Duration { return p.pause }

// Resume begins an attempt.
func (p *Proposal) Resume() { p.phase, p.answers = Preparing, map[string]Answer{} }

// Hear takes an answer to a question; one to an earlier question is ignored.
func (p *Proposal) Hear(from string, phase Phase, b Ballot, a Answer) {
	if phase != p.phase || b != p.ballot || phase != Preparing && phase != Accepting {
		return
	}
	for _, r := range []*record.Record{a.Value, a.Chosen} {
		if r == nil {
			continue
		}
		if err := r.Newer(); err != nil { // it would have to be proposed again, and would be another one
			p.phase, p.refusal = GaveUp, Refused{Reasons: []string{fmt.Sprintf("%s: %v", from, err)}}
			return
		}
	}
	p.answers[from] = a
	if Count(p.members, p.answers) != Pending || decided(p.answers) != nil {
		p.Close()
	}
}

// Close ends a round with the answers that came.
func (p *Proposal) Close() {
	if p.phase != Preparing && p.phase != Accepting {
		return
	}
	if chosen := decided(p.answers); chosen != nil {
		p.phase, p.value = Decided, *chosen
		return
	}
	pause := p.jitter(time.Duration(p.attempt+1) * rivalTime) // lets a rival finish
	p.refusal = judge(p.members, p.answers)
	switch {
	case p.phase == Preparing && errors.Is(p.refusal, ErrNoMajority):
		p.phase = GaveUp
	case p.refusal != nil:
		p.again(max(pause, patience(p.answers)))
	case p.phase == Preparing:
		p.phase, p.value, p.answers = Accepting, Value(p.answers, p.wanted), map[string]Answer{}
	default:
		p.phase = Decided
	}
}

// again tries with the next ballot after a pause, unless it was tried often enough.
func (p *Proposal) again(pause time.Duration) {
	p.attempt++
	if p.attempt == attempts {
		p.phase = GaveUp
		return
	}
	p.ballot, p.pause, p.phase = Next(p.self, p.ballot, p.answers), pause, Waiting
}

// Result is the record that was chosen, which may be another proposer's, or why there is none.
func (p *Proposal) Result() (record.Record, error) {
	if p.phase == Decided {
		return p.value, nil
	}
	return record.Record{}, p.refusal
}

// patience is how long the voters that object for now ask to wait, if that is short: they hear the file sharing server's silence a
// moment later than the proposer.
func patience(answers map[string]Answer) time.Duration {
	var longest time.Duration
	for _, a := range answers {
		if a.Wait <= shortWait {
			longest = max(longest, a.Wait)
		}
	}
	return longest
}

func decided(answers map[string]Answer) *record.Record {
	for _, a := range answers {
		if a.Chosen != nil {
			return a.Chosen
		}
	}
	return nil
}

// judge is nil for a won round.
func judge(members []string, answers map[string]Answer) error {
	switch Count(members, answers) {
	case Won:
		return nil
	case Pending:
		return fmt.Errorf("%w: %d of %d", ErrNoMajority, len(answers), len(members))
	}
	reasons := []string{}
	for name, a := range answers {
		switch {
		case a.Reason != "":
			reasons = append(reasons, name+": "+a.Reason)
		case !a.Yes:
			reasons = append(reasons, fmt.Sprintf("%s: promised to ballot %s", name, a.Promised))
		}
	}
	slices.Sort(reasons)
	return Refused{Reasons: reasons}
}
