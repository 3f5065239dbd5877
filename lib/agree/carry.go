package agree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"hafs/lib/record"
)

// Peers is how a proposer reaches the servers, itself included. An error means no answer, whatever the cause.
type Peers interface {
	Prepare(ctx context.Context, server string, b Ballot, wanted record.Record) (Answer, error)
	Accept(ctx context.Context, server string, b Ballot, value record.Record) (Answer, error)
	Install(ctx context.Context, server string, value record.Record) error
}

// ErrNoMajority means that too few members answered.
var ErrNoMajority = errors.New("no majority of the members answered")

// Refused is the answer of a majority that could have been reached but said no.
type Refused struct{ Reasons []string }

func (r Refused) Error() string {
	return "the other servers refuse: " + strings.Join(r.Reasons, "; ")
}

const (
	roundTime = 500 * time.Millisecond // one question to all members; more than ten times what it takes on a busy machine
	attempts  = 5                      // of outbidding other proposers
	rivalTime = 50 * time.Millisecond
	shortWait = 300 * time.Millisecond
	// installTime bounds how long the proposer waits for laggards; they learn the generation from the next heartbeat anyway.
	installTime = 300 * time.Millisecond
)

// Choose has the members of current agree on its successor and installs it on every server that can be reached. The record that was
// chosen is returned; it may be another proposer's. This is the only place where a generation comes to be.
func Choose(ctx context.Context, peers Peers, self string, current, wanted record.Record) (record.Record, error) {
	members := current.Members()
	next := Ballot{Round: 1, Proposer: self}
	var refusal error
	var pause time.Duration
	for attempt := range attempts {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return record.Record{}, ctx.Err()
		}
		ballot := next                                                          // of this attempt: questions that are still on their way keep it
		pause = time.Duration(rand.Int64N(int64(attempt+1) * int64(rivalTime))) // lets a rival finish
		promises := round(ctx, members, func(ctx context.Context, m string) (Answer, error) { return peers.Prepare(ctx, m, ballot, wanted) })
		if chosen := decided(promises); chosen != nil {
			install(ctx, peers, current, *chosen)
			return *chosen, nil
		}
		if refusal = judge(members, promises); refusal != nil {
			if errors.Is(refusal, ErrNoMajority) {
				return record.Record{}, refusal
			}
			next, pause = Next(self, ballot, promises), max(pause, patience(promises))
			continue
		}
		value := Value(promises, wanted)
		votes := round(ctx, members, func(ctx context.Context, m string) (Answer, error) { return peers.Accept(ctx, m, ballot, value) })
		if refusal = judge(members, votes); refusal != nil {
			next = Next(self, ballot, votes)
			continue
		}
		install(ctx, peers, current, value)
		return value, nil
	}
	return record.Record{}, refusal
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

// round asks all members at once and stops listening when the outcome is certain.
func round(ctx context.Context, members []string, ask func(context.Context, string) (Answer, error)) map[string]Answer {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	type reply struct {
		from   string
		answer Answer
		err    error
	}
	replies := make(chan reply, len(members))
	for _, m := range members {
		go func() {
			a, err := ask(ctx, m)
			replies <- reply{m, a, err}
		}()
	}
	answers := map[string]Answer{}
	for range members {
		r := <-replies
		if r.err == nil {
			answers[r.from] = r.answer
		}
		if Count(members, answers) != Pending || decided(answers) != nil {
			break
		}
	}
	return answers
}

func install(ctx context.Context, peers Peers, current, chosen record.Record) {
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	done := make(chan struct{}, len(current.Servers))
	for _, s := range current.Servers {
		go func() {
			_ = peers.Install(ctx, s.Name, chosen) // whoever misses it learns it from the next heartbeat
			done <- struct{}{}
		}()
	}
	for range current.Servers {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}
