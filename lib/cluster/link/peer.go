package link

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/host/problem"
)

// dialer opens the stream of a link.
type dialer func(ctx context.Context) (io.ReadWriteCloser, error)

// Of one link, and of the simulation's.
const (
	DialPatience = 2 * time.Second // a handshake on a machine that has other things to do
	RedialPause  = 100 * time.Millisecond
	FailedPause  = time.Second // between attempts to reach a server that has failed
)

// errUnwanted ends a link that the record does not ask for any more. It is no failure of the peer.
var errUnwanted = errors.New("this link is not kept any more")

// peer keeps the link to one server: dials, sends heartbeats, dials again, and says when the verdict changes.
type peer struct {
	name        string
	dial        dialer
	examination time.Duration
	question    func() Request                                            // the heartbeat to send
	answered    func(name string, q Request, sent time.Time, facts Facts) // called with every answer that came in time
	changed     func(name string, from, to Verdict)
	clock       func() time.Duration // counts the time that this machine sleeps
	pace        func() time.Duration // the examination time by which heartbeats are sent
	needed      func() bool          // an answer is needed at each moment, whatever is heard from the peer; nil: yes

	mu      sync.Mutex
	times   Times
	asked   time.Time // when the last heartbeat was sent
	verdict Verdict
	facts   Facts
	rtt     time.Duration
	err     error
	caller  *caller
	fresh   chan struct{} // a good answer came
	now     chan struct{} // the next heartbeat must not wait for its time
}

func newPeer(name string, dial dialer, examination, grace time.Duration) *peer {
	return &peer{
		name: name, dial: dial, examination: examination, clock: lease.Clock, pace: func() time.Duration { return examination },
		times: Times{Watched: time.Now(), Grace: grace}, verdict: Unknown, fresh: make(chan struct{}, 1), now: make(chan struct{}, 1),
	}
}

// run keeps the link until ctx ends.
func (p *peer) run(ctx context.Context) {
	go p.judge(ctx)
	for ctx.Err() == nil {
		if err := p.connect(ctx); err != nil {
			p.note(err)
		} else {
			p.beat(ctx)
		}
		sleep(ctx, p.pause())
	}
	p.disconnect(errUnwanted)
}

// pause between two attempts: a peer that just went silent is tried often, one that failed long ago seldom.
func (p *peer) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verdict == Lost {
		return FailedPause
	}
	return RedialPause
}

func (p *peer) connect(ctx context.Context) error {
	stream, err := p.dial(ctx) // the dialler has its own patience, from when the turn comes
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.caller = newCaller(stream)
	return nil
}

func (p *peer) disconnect(err error) {
	p.mu.Lock()
	c := p.caller
	p.caller = nil
	p.mu.Unlock()
	if c != nil {
		c.fail(err)
	}
}

// beat sends heartbeats over the current connection until it breaks or stays silent for the examination time: then a new connection may
// get through where this one does not.
func (p *peer) beat(ctx context.Context) {
	started := time.Now()
	for {
		c := p.current()
		if c == nil {
			return
		}
		if err := c.broken(); err != nil {
			p.note(err)
			p.disconnect(err)
			return
		}
		if p.silentSince(started) > max(p.examination, DialPatience) {
			p.disconnect(errors.New("no answer on this connection"))
			return
		}
		if p.due(time.Now()) {
			go p.ask(ctx, c)
		}
		select {
		case <-time.After(untilBeat(time.Now(), p.interval())):
		case <-p.now:
		case <-ctx.Done():
			return
		}
	}
}

func (p *peer) interval() time.Duration { return Interval(p.pace()) }

// untilBeat is how long it is to the next moment at which heartbeats are sent: by the time of day, so that all servers whose clocks agree send at the
// same moments and count a peer's silence from the same one. Nothing depends on that but how far apart they notice a loss.
func untilBeat(now time.Time, interval time.Duration) time.Duration {
	return interval - time.Duration(now.UnixNano())%interval
}

// beatNow sends a heartbeat at once.
func (p *peer) beatNow() {
	select {
	case p.now <- struct{}{}:
	default:
	}
}

// provePause is how long a link may go without a question while its peer is heard: it must be known to work in this direction too.
const provePause = time.Second

// due says whether the peer must be asked now. One whose own heartbeats come in is known to live.
func (p *peer) due(now time.Time) bool {
	needed, interval := p.needed == nil || p.needed(), p.interval()
	p.mu.Lock()
	defer p.mu.Unlock()
	if heard := !p.times.Answered.IsZero() && now.Sub(p.times.Heard) < interval*3/2; heard && !needed && now.Sub(p.asked) < provePause-interval/2 {
		return false
	}
	p.asked = now
	return true
}

// hear notes that the peer's own heartbeat came in.
func (p *peer) hear(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times.Heard = now
}

func (p *peer) silentSince(started time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.times.Answered.After(started) {
		return time.Since(p.times.Answered)
	}
	return time.Since(started)
}

func (p *peer) ask(ctx context.Context, c *caller) {
	ctx, cancel := context.WithTimeout(ctx, p.examination)
	defer cancel()
	sent, clock := time.Now(), p.clock()
	q := p.question()
	r, err := c.call(ctx, q)
	switch {
	case err != nil:
		p.note(err)
		return
	case r.Facts == nil:
		p.note(errors.New("an answer without facts"))
		return
	case time.Since(sent) >= p.examination || p.clock()-clock >= p.examination:
		// By both clocks: one of them counts the time that this machine slept.
		p.note(errors.New("an answer that took the examination time says nothing of now"))
		return
	}
	p.mu.Lock()
	p.facts, p.rtt, p.err = *r.Facts, time.Since(sent), nil
	if r.Facts.Healthy && sent.After(p.times.Answered) {
		p.times.Answered = sent
	}
	p.mu.Unlock()
	select {
	case p.fresh <- struct{}{}:
	default:
	}
	p.answered(p.name, q, sent, *r.Facts)
}

// judge tells when the verdict changes, at the moment it does.
func (p *peer) judge(ctx context.Context) {
	for {
		p.mu.Lock()
		from, to := p.verdict, p.times.At(time.Now(), p.examination)
		p.verdict = to
		deadline := p.times.Deadline(p.examination)
		p.mu.Unlock()
		if from != to {
			p.changed(p.name, from, to)
		}
		wait := time.Until(deadline)
		if to == Lost {
			wait = time.Hour // until a fresh answer
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.freshWhen(to != Alive):
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// freshWhen is the signal of a good answer when it can change the verdict. While a peer is alive each answer only moves the deadline,
// which judge looks up when it wakes.
func (p *peer) freshWhen(matters bool) <-chan struct{} {
	if matters {
		return p.fresh
	}
	return nil
}

func (p *peer) current() *caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.caller
}

func (p *peer) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// snapshot is what is known of the peer now.
func (p *peer) snapshot() Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Peer{Verdict: p.times.At(time.Now(), p.examination), RTT: p.rtt, Facts: p.facts}
	if !p.times.Answered.IsZero() {
		s.Silence = time.Since(p.times.Answered)
	}
	if p.err != nil {
		s.Error, s.ProblemID = p.err.Error(), problem.Of(p.err)
	}
	return s
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
