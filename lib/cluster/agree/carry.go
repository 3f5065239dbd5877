package agree

import (
	"context"
	"math/rand/v2"
	"time"

	"hafs/lib/cluster/record"
)

// Peers is how a proposer reaches the servers, itself included. An error means no answer, whatever the cause.
type Peers interface {
	Prepare(ctx context.Context, server string, b Ballot, wanted record.Record) (Answer, error)
	Accept(ctx context.Context, server string, b Ballot, value record.Record) (Answer, error)
	Install(ctx context.Context, server string, value record.Record) error
}

// InstallTime bounds how long the proposer waits for laggards; they learn the generation from the next heartbeat anyway.
const InstallTime = 300 * time.Millisecond

// Choose has the members of current agree on its successor and installs it on every server that can be reached. The record that was
// chosen is returned; it may be another proposer's. This is the only place where a generation comes to be.
func Choose(ctx context.Context, peers Peers, self string, current, wanted record.Record) (record.Record, error) {
	p := NewProposal(self, current, wanted, func(limit time.Duration) time.Duration { return rand.N(limit) })
	for {
		if ctx.Err() != nil {
			return record.Record{}, ctx.Err()
		}
		phase, ballot, value := p.Question()
		switch phase {
		case Waiting:
			select {
			case <-time.After(p.Pause()):
			case <-ctx.Done():
			}
			p.Resume()
		case Preparing:
			round(ctx, p, func(ctx context.Context, m string) (Answer, error) { return peers.Prepare(ctx, m, ballot, value) })
		case Accepting:
			round(ctx, p, func(ctx context.Context, m string) (Answer, error) { return peers.Accept(ctx, m, ballot, value) })
		default:
			chosen, err := p.Result()
			if err == nil {
				install(ctx, peers, current, chosen)
			}
			return chosen, err
		}
	}
}

// round asks all members at once and stops listening when the outcome is certain.
func round(ctx context.Context, p *Proposal, ask func(context.Context, string) (Answer, error)) {
	ctx, cancel := context.WithTimeout(ctx, RoundTime)
	defer cancel()
	type reply struct {
		from   string
		answer Answer
		err    error
	}
	phase, ballot, _ := p.Question()
	replies := make(chan reply, len(p.Members()))
	for _, m := range p.Members() {
		go func() {
			a, err := ask(ctx, m)
			replies <- reply{m, a, err}
		}()
	}
	for range p.Members() {
		r := <-replies
		if r.err == nil {
			p.Hear(r.from, phase, ballot, r.answer)
		}
		if now, _, _ := p.Question(); now != phase {
			return
		}
	}
	p.Close()
}

func install(ctx context.Context, peers Peers, current, chosen record.Record) {
	ctx, cancel := context.WithTimeout(ctx, InstallTime)
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
