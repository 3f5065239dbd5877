package link

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hafs/lib/cluster/record"
)

// AskPatience bounds how long a server may take to answer a question.
const AskPatience = 2 * time.Second

// confirm settles, once after a boot, whether this server may believe its record: only when a majority has the same one.
func (d *Daemon) confirm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.confirmed {
		return
	}
	generations := map[string]uint64{}
	for name, p := range d.peers {
		if s := p.snapshot(); s.Verdict == Alive && s.Facts.Cluster == d.record.Cluster {
			generations[name] = s.Facts.Generation
		}
	}
	standing := Stand(d.record, d.Settings.Name, generations)
	if standing.Newer != "" {
		d.newer[standing.Newer] = generations[standing.Newer]
		d.nudge()
		return
	}
	if !standing.Confirmed {
		return
	}
	if err := d.writeConfirmed(); err != nil {
		d.Log.Error().Err(err).Msg("cannot note the confirmed generation")
		return
	}
	d.confirmed = true
	d.Log.Info().Uint64("generation", d.record.Generation).Msg("a majority has the same generation")
	d.nudge() // links may not be wanted any more
}

// writeConfirmed tells hafs-role and hafs-gate that the record may be acted on.
func (d *Daemon) writeConfirmed() error {
	return d.Machine.Replace("note confirmed generation", d.Settings.Run("confirmed"),
		[]byte(strconv.FormatUint(d.record.Generation, 10)), 0o644)
}

// learn fetches a newer generation that was seen at another server. It was chosen there, or it would not be installed there.
func (d *Daemon) learn(ctx context.Context) {
	d.mu.Lock()
	from, newest := Newest(d.record.Generation, d.newer)
	clear(d.newer)
	d.mu.Unlock()
	if from == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, AskPatience)
	defer cancel()
	reply, err := d.ask(ctx, from, Request{Kind: Fetch})
	if err == nil && reply.Record == nil {
		err = fmt.Errorf("%s sent no record", from)
	}
	if err == nil {
		err = d.install(*reply.Record, d.store.Learn, "learnt from "+from)
	}
	if err != nil {
		d.Log.Warn().Err(err).Str("peer", from).Uint64("generation", newest).Msg("cannot learn the newer generation")
	}
}

// install makes a chosen record current by way of save, which says whether it may.
func (d *Daemon) install(r record.Record, save func(record.Record) error, how string) error {
	d.voting.Lock() // no vote is given while the generation changes
	defer d.voting.Unlock()
	d.mu.Lock()
	have := d.record.Generation
	d.mu.Unlock()
	if err := save(r); err != nil {
		return err
	}
	if r.Generation == have {
		return nil
	}
	d.mu.Lock()
	d.record, d.fsHeard = r, time.Now()
	clear(d.due)
	d.heal(r)
	err := error(nil)
	if d.confirmed {
		err = d.writeConfirmed()
	}
	d.mu.Unlock()
	d.serve()
	d.Log.Info().Str("event", "installed").Uint64("generation", r.Generation).Str("how", how).
		Str("role", string(r.Role(d.Settings.Name))).Msg("new generation")
	d.nudge()
	return err
}

// ask sends a question to any server: over its link, or over a connection made for it.
func (d *Daemon) ask(ctx context.Context, to string, q Request) (Reply, error) {
	q = d.sign(q)
	if to == d.Settings.Name {
		return d.answer(to, q), nil
	}
	d.mu.Lock()
	running := d.peers[to]
	s, known := d.record.Server(to)
	d.mu.Unlock()
	if !known {
		return Reply{}, fmt.Errorf("%s is not in the server list", to)
	}
	if running != nil {
		if c := running.current(); c != nil {
			r, err := c.call(ctx, q)
			if !errors.Is(err, errUnwanted) {
				return r, err
			}
		} else if v := running.snapshot(); v.Verdict == Lost {
			return Reply{}, v.loss(to)
		}
	}
	stream, err := d.streamTo(s)(ctx)
	if err != nil {
		return Reply{}, err
	}
	c := newCaller(stream)
	defer c.fail(context.Canceled)
	return c.call(ctx, q)
}

// sign says in whose name a question is asked. FS has given its lease up when it asks for a vote that hands its role over.
func (d *Daemon) sign(q Request) Request {
	if d.handsOver(q) {
		q.Lease = d.serving.handOver()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q.Cluster, q.Generation, q.Examination = d.record.Cluster, d.record.Generation, d.Settings.ExaminationTime
	return q
}
