package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
	"hafs/lib/lab/workload"
)

// How a server is made to fail.
type How string

const (
	Kill   How = "kill"   // its power is taken away
	Freeze How = "freeze" // it hangs
	Cut    How = "cut"    // its cable is cut
	Hang   How = "hang"   // HAFS's own programs stop where they are, while the rest of the server works
)

// Toolkit are the services that hang together.
var Toolkit = []string{"hafs-linkcheck.service", "hafs-role.service", "hafs-dial.service", "hafs-mirror.service", "hafs-watch.service"}

const (
	warmUp       = 1500 * time.Millisecond // of the client before the failure
	coolDown     = 1500 * time.Millisecond // after the structure is restored
	repairLimit  = 30 * time.Second
	sameLimit    = 20 * time.Second // until replicas are identical again
	journalLimit = 3 * time.Second  // until what was logged can be read
	interval     = 20 * time.Millisecond
)

// Break makes servers fail and returns between which moments that happened. Several fail at the same moment for everybody else, whatever it
// takes to do away with them: their cables go first.
func (b *Bench) Break(ctx context.Context, how How, names ...string) (from, to time.Time, err error) {
	members, err := guests.FindAll(names)
	if err != nil {
		return from, to, err
	}
	from = time.Now()
	if how == Kill || how == Cut {
		for _, m := range members {
			if err := b.Lab.Cut(ctx, guests.Cut{From: m.Name}); err != nil {
				return from, to, err
			}
		}
		to = time.Now()
	}
	for _, m := range members {
		switch how {
		case Kill:
			if err = b.Lab.Kill(ctx, m); err == nil {
				err = b.Lab.Heal(ctx, m.Name)
			}
		case Freeze:
			err = b.Lab.Freeze(ctx, m)
		case Hang:
			err = b.run(ctx, m.Name, append([]string{"systemctl", "kill", "--kill-whom=main", "--signal=STOP"}, Toolkit...)...)
		case Cut:
		default:
			err = fmt.Errorf("no way to make a server fail is called %q", how)
		}
		if err != nil {
			return from, to, err
		}
	}
	if to.IsZero() {
		to = time.Now()
	}
	return from, to, nil
}

// Second is a failure that follows another one.
type Second struct {
	Names []string
	After time.Duration // so that it hits whoever is repairing the first
}

// Trial makes servers fail while a client works, waits until the structure is restored, and tells what happened. The servers are left
// as they are then.
func (b *Bench) Trial(ctx context.Context, how How, second Second, names ...string) (Run, error) {
	all := slices.Concat(names, second.Names)
	if slices.Contains(all, b.Client) {
		return Run{}, fmt.Errorf("the client runs on %s, so that cannot fail", b.Client)
	}
	before, err := b.Await(ctx, shape.Shape{}, true, moveLimit+b.Patience)
	if err != nil {
		return Run{}, fmt.Errorf("before the failure: %w", err)
	}
	run := Run{Failed: join(all), Role: string(before.Role(names[0])), How: string(how)}
	client, err := b.startClient(ctx, b.Client)
	if err != nil {
		return run, err
	}
	defer client.stop()
	warm := warmUp
	if b.Jitter > 0 {
		warm += rand.N(b.Jitter)
	}
	if err := pause(ctx, warm); err != nil {
		return run, err
	}
	if run.FailedAt, run.gone, err = b.Break(ctx, how, names...); err != nil {
		return run, err
	}
	if len(second.Names) > 0 {
		if err := pause(ctx, time.Until(run.gone.Add(second.After))); err != nil {
			return run, err
		}
		if _, run.gone, err = b.Break(ctx, how, second.Names...); err != nil {
			return run, err
		}
	}
	after, err := b.awaitRepair(ctx, before, all)
	if err != nil {
		return run, fmt.Errorf("after the failure of %s: %w", run.Failed, err)
	}
	if err := pause(ctx, coolDown); err != nil {
		return run, err
	}
	log, err := client.stop()
	if err != nil {
		return run, err
	}
	if err := b.tell(ctx, &run, before, after, all); err != nil {
		return run, err
	}
	if err := b.AwaitIdentical(ctx, sameLimit+b.Patience); err != nil {
		return run, err
	}
	if err := b.judge(&run, log, client.directory, after); err != nil {
		return run, err
	}
	return run, b.run(ctx, after.FS.Name, "rm", "-rf", client.directory)
}

// awaitRepair waits until the servers are failed in the record and everybody else has a role in it.
func (b *Bench) awaitRepair(ctx context.Context, before record.Record, gone []string) (record.Record, error) {
	failed := before.WithStatus(record.Failed)
	for _, name := range gone {
		if !slices.Contains(failed, name) {
			failed = append(failed, name)
		}
	}
	return b.Await(ctx, shape.Shape{Failed: failed}, true, repairLimit+b.Patience)
}

// tell fills in the times from the journals.
func (b *Bench) tell(ctx context.Context, run *Run, before, after record.Record, gone []string) error {
	s, err := b.story(ctx, after.Members(), run.FailedAt, func(m []Milestone) Story { return Tell(before, after, gone, run.FailedAt, m) })
	if err != nil {
		return err
	}
	run.story = s
	run.Generation = after.Generation
	run.Detected = s.Detected.Sub(s.Failure).Seconds()
	run.Chosen = s.Chosen.Sub(s.Detected).Seconds()
	run.Installed = s.Installed.Sub(s.Detected).Seconds()
	run.Established = s.Established.Sub(s.Detected).Seconds()
	if !s.Kept.IsZero() {
		run.Kept = s.Kept.Sub(s.Detected).Seconds()
	}
	run.Recovered = s.Restored().Sub(s.Detected).Seconds()
	return nil
}

// story reads the journals until they tell the whole story: a line may take a moment to get there.
func (b *Bench) story(ctx context.Context, guests []string, since time.Time, tell func([]Milestone) Story) (Story, error) {
	deadline := time.Now().Add(journalLimit)
	for {
		milestones, err := b.Milestones(ctx, guests, since)
		if err != nil {
			return Story{}, err
		}
		s := tell(milestones)
		if len(s.Missing) == 0 {
			return s, nil
		}
		if time.Now().After(deadline) {
			return s, Disappointed{journalLimit, missingMilestones(s.Missing)}
		}
		if err := pause(ctx, 4*lookPause); err != nil {
			return s, err
		}
	}
}

func missingMilestones(missing []string) []witness.Disappointment {
	var all []witness.Disappointment
	for _, text := range missing {
		all = append(all, witness.Disappointment{Text: "in the journals: " + text})
	}
	return all
}

// judge fills in what the client saw, and compares what it was told with what the share holds now.
func (b *Bench) judge(run *Run, log []workload.Operation, directory string, after record.Record) error {
	e := workload.Experienced(log, run.FailedAt)
	run.log = log
	run.ClientOutage, run.ClientOps, run.ClientFailedOps, run.SlowOps = e.Outage.Seconds(), e.Operations, e.Failed, e.Slow
	run.AcknowledgedOps = len(workload.Acknowledged(log))
	if e.Open {
		return fmt.Errorf("the client on %s had no good operation for the last %s", b.Client, e.Outage.Round(time.Millisecond))
	}
	read, closeShare, err := witness.Reader(b.Lab, after.FS.Name, directory)
	if err != nil {
		return err
	}
	defer closeShare()
	lost, err := workload.Lost(log, run.gone, read)
	run.LostFiles, run.LostOlderThan1s, run.LostAcknowledged, run.LostDifferent = len(lost.Before), lost.Older, len(lost.After), lost.Different
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
