// Package agree lets a majority of the servers of generation n choose generation n+1, once.
//
// It is single-decree Paxos (Lamport, "Paxos Made Simple", 2001), one instance per generation; the members are the servers that
// generation n lists as not failed. A proposer that finds a record half chosen finishes that one first. ballot.go, proposer.go and proposal.go are
// pure; store.go keeps a server's vote on disk, carry.go asks the others.
//
// It promises that no two records of one generation are ever chosen, whatever is lost, repeated, delayed or crashes. It
// does not promise progress: without a majority nothing is chosen.
package agree

import (
	"cmp"
	"fmt"
	"time"

	"hafs/lib/cluster/record"
)

// Ballot orders attempts. The proposer's name makes it unique.
type Ballot struct {
	Round    uint64 `json:"round"`
	Proposer string `json:"proposer"`
}

// Compare is negative, zero or positive as b is before, equal to or after c.
func (b Ballot) Compare(c Ballot) int {
	return cmp.Or(cmp.Compare(b.Round, c.Round), cmp.Compare(b.Proposer, c.Proposer))
}

func (b Ballot) String() string { return fmt.Sprintf("%d.%s", b.Round, b.Proposer) }

// Vote is what one server has promised and accepted for one generation. It must be on disk, synced, before the answer it led to is sent.
type Vote struct {
	Generation uint64         `json:"generation"`      // the one being chosen
	Promised   Ballot         `json:"promised"`        // no ballot before this one will be answered with yes
	Accepted   Ballot         `json:"accepted"`        // of Value; zero when nothing was accepted
	Value      *record.Record `json:"value,omitempty"` // accepted record
}

// Answer is a voter's reply to a prepare or an accept.
type Answer struct {
	Reason   string         `json:"reason,omitempty"`  // of a no that is not about ballots, for people
	Wait     time.Duration  `json:"wait_ns,omitempty"` // with a reason: it may pass after this long
	Chosen   *record.Record `json:"chosen,omitempty"`  // with a no: this generation is decided already
	Yes      bool           `json:"yes"`
	Promised Ballot         `json:"promised"` // the highest ballot promised; tells a loser what to exceed
	Accepted Ballot         `json:"accepted"` // with a yes to prepare: the record accepted before, if any
	Value    *record.Record `json:"value,omitempty"`
}

// Prepare promises to ignore ballots before b, unless b or a later one is promised already: a proposer that restarted and forgot which
// ballots it used must not use one twice.
func (v Vote) Prepare(b Ballot) (Vote, Answer) {
	if b.Compare(v.Promised) <= 0 {
		return v, Answer{Promised: v.Promised}
	}
	v.Promised = b
	return v, Answer{Yes: true, Promised: b, Accepted: v.Accepted, Value: v.Value}
}

// Accept votes for a record, unless a later ballot is promised.
func (v Vote) Accept(b Ballot, value record.Record) (Vote, Answer) {
	if b.Compare(v.Promised) < 0 {
		return v, Answer{Promised: v.Promised}
	}
	v.Promised, v.Accepted, v.Value = b, b, &value
	return v, Answer{Yes: true, Promised: b}
}
