package link

import (
	"context"
	"errors"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/record"
	"hafs/lib/host/problem"
)

// remember is what a voter must know when this program starts. It may have heard FS a moment before it ended, so it keeps to it as if it had heard it
// now, for the longest examination time it may have promised; a vote that cannot be read may be for the next generation.
func (d *Daemon) remember(now time.Time) error {
	if err := d.rememberTimes(now); err != nil {
		return err
	}
	d.fsHeard = now
	next := d.record.Generation + 1
	vote, err := d.votes.Load(next)
	if err != nil || vote.Value != nil {
		d.voted = next
	}
	d.noteDamage(err)
	return nil
}

// noteDamage keeps what hafs-status says of a vote that cannot be read; with d.mu held, or before anybody else is there.
func (d *Daemon) noteDamage(err error) {
	if !errors.Is(err, agree.ErrDamaged) {
		return
	}
	if d.voteDamage.Text == "" {
		d.Log.Error().Err(err).Msg("this server does not vote until it has failed and is taken back")
	}
	d.voteDamage = problem.Problem{ID: problem.Of(err), Part: d.votes.Path, Text: err.Error()}
}

// heal discards a damaged vote once this server has failed in the record: members alone vote on the generation to come, so it was not for that one.
func (d *Daemon) heal(r record.Record) {
	if d.voteDamage.Text == "" || r.Role(d.Settings.Name) != record.RoleFailed {
		return
	}
	if err := d.votes.Discard(); err != nil {
		d.Log.Error().Err(err).Msg("cannot discard the damaged vote")
		return
	}
	d.Log.Warn().Uint64("generation", r.Generation).Msg("the damaged vote is discarded: this server votes again when it is taken back")
	d.voteDamage = problem.Problem{}
}

// bound says whether this server has voted for a generation after this one.
func (d *Daemon) bound(generation uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.voted > generation
}

// serve tells serving what this server is, and asks for the lease at once when it needs one.
func (d *Daemon) serve() {
	d.mu.Lock()
	r, fs := d.record, d.confirmed && d.record.Role(d.Settings.Name) == record.RoleFS
	waits := !d.confirmed && d.record.Role(d.Settings.Name) == record.RoleFS
	d.mu.Unlock()
	if waits || !d.serving.become(r, fs) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.peers {
		p.beatNow()
	}
}

// handsOver says whether a question asks to vote for another FS in the place of this server.
func (d *Daemon) handsOver(q Request) bool {
	if q.Record == nil || q.Kind != Prepare && q.Kind != Accept {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.record.Role(d.Settings.Name) == record.RoleFS && q.Record.FS.Name != d.Settings.Name
}

// StuckTime is how long FS waits for others to finish a vote: many times what a proposer takes that has not died.
func StuckTime(examination time.Duration) time.Duration { return 2*examination + RestTime }

// finish has FS bring a vote to its end whose proposer is gone: until then those who voted give no lease, and if they voted for another FS, nobody but
// FS itself may have that record chosen or another one in its place.
func (d *Daemon) finish(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.record
	voted := d.voted > r.Generation
	for _, name := range r.Members() {
		if p := d.peers[name]; p != nil {
			s := p.snapshot()
			voted = voted || s.Verdict == Alive && s.Facts.Voted > r.Generation
		}
	}
	switch {
	case !voted || !d.confirmed || r.Role(d.Settings.Name) != record.RoleFS:
		d.stuck = time.Time{}
	case d.stuck.IsZero():
		d.stuck = time.Now()
		time.AfterFunc(StuckTime(d.Settings.ExaminationTime), d.nudge)
	case time.Since(d.stuck) >= StuckTime(d.Settings.ExaminationTime):
		d.stuck = time.Time{}
		next := r.Clone() // the same again, unless another record is half chosen
		next.Generation++
		go func() {
			chosen, err := agree.Choose(ctx, voters{d}, d.Settings.Name, r, next)
			d.Log.Warn().Err(err).Uint64("generation", chosen.Generation).Msg("a vote was left half done: finishing it")
		}()
	}
}

// voters are the servers of the record, as a proposer within this program reaches them.
type voters struct{ d *Daemon }

func (v voters) Prepare(ctx context.Context, server string, b agree.Ballot, wanted record.Record) (agree.Answer, error) {
	return v.vote(ctx, server, Request{Kind: Prepare, Ballot: &b, Record: &wanted})
}

func (v voters) Accept(ctx context.Context, server string, b agree.Ballot, value record.Record) (agree.Answer, error) {
	return v.vote(ctx, server, Request{Kind: Accept, Ballot: &b, Record: &value})
}

func (v voters) vote(ctx context.Context, server string, q Request) (agree.Answer, error) {
	r, err := v.d.ask(ctx, server, q)
	if err != nil {
		return agree.Answer{}, err
	}
	if r.Answer == nil {
		return agree.Answer{}, errors.New("an answer without a vote")
	}
	return *r.Answer, nil
}

func (v voters) Install(ctx context.Context, server string, value record.Record) error {
	_, err := v.d.ask(ctx, server, Request{Kind: Install, Record: &value})
	return err
}
