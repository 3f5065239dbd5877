package benchmark

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/workload"
)

const (
	failoverInterval = 20 * time.Millisecond
	failoverWarm     = 3 * time.Second
	failoverAfter    = 15 * time.Second // how long a client goes on after the failure of a server of a peer
	failoverFiles    = "failover"
)

var failings = []struct {
	how  experiment.How
	what string
}{{experiment.Kill, "killed"}, {experiment.Cut, "cut off"}}

// failover takes the source's power away, and then its cable, while a client works.
func failover(ctx context.Context, r *run, s Subject) error {
	for _, f := range failings {
		var outcome experience
		var err error
		if _, is := s.(*hafs); is {
			outcome, err = r.failHAFS(ctx, benchShape, f.how)
		} else {
			outcome, err = r.failPeer(ctx, s, f.how)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
		r.addExperience(s, "failover", f.what+", ", outcome)
		if outcome.open {
			return fmt.Errorf("%s: no operation was good after it", f.what)
		}
	}
	return nil
}

// experience is what a client went through.
type experience struct {
	outage, failed, lost float64
	open                 bool
	repair               // of HAFS
}

// repair is what its servers did meanwhile, in seconds.
type repair struct {
	detected float64 // from the failure on
	kept     float64 // from the detection until all replicas that had been some before were complete again
	whole    float64 // from the detection until all were, those that spares have become too
}

// served is how long after the detection the client waited on, if the longest wait was for the repair.
func (e experience) served() float64 { return max(e.outage-e.detected, 0) }

// addExperience adds what a client went through. The names of the series begin with a prefix.
func (r *run) addExperience(s Subject, work, prefix string, e experience) {
	r.add(s, work, prefix+"outage", "s", e.outage)
	r.add(s, work, prefix+"failed operations", "operations", e.failed)
	r.add(s, work, prefix+"acknowledged files lost", "files", e.lost)
}

// failHAFS is a trial as the demo makes it, on a cluster that is brought back to its shape afterwards.
func (r *run) failHAFS(ctx context.Context, wanted shape.Shape, how experiment.How) (experience, error) {
	if err := r.cluster.Restore(ctx, wanted); err != nil {
		return experience{}, err
	}
	trial, err := r.cluster.Trial(ctx, how, experiment.Second{}, source)
	if err != nil {
		return experience{}, err
	}
	return experience{
		outage: trial.ClientOutage, failed: float64(trial.ClientFailedOps), lost: float64(trial.LostFiles + trial.LostAcknowledged),
		repair: repair{trial.Detected, trial.Kept, trial.Recovered},
	}, r.cluster.Restore(ctx, wanted)
}

// failPeer lets the source fail, and starts the subject anew afterwards.
func (r *run) failPeer(ctx context.Context, s Subject, how experiment.How) (experience, error) {
	mount, is := s.(mounted)
	if !is {
		return experience{}, fmt.Errorf("%s has no way for a client to use it", s.Name())
	}
	at, err := mount.Mount(ctx, r.Field)
	if err != nil {
		return experience{}, err
	}
	folder := fmt.Sprintf("%s-%s", failoverFiles, how)
	stop, err := r.cluster.StartClient(ctx, at.Guest, at.Below(folder), failoverInterval)
	if err != nil {
		return experience{}, err
	}
	defer stop()
	if err := rest(ctx, failoverWarm); err != nil {
		return experience{}, err
	}
	from, gone, err := r.cluster.Break(ctx, how, source)
	if err != nil {
		return experience{}, err
	}
	err = rest(ctx, failoverAfter)
	log, stopErr := stop()
	if err := errors.Join(err, stopErr); err != nil {
		return experience{}, err
	}
	e := workload.Experienced(log, from)
	next := s.Replicas()[0] // whoever serves now
	lost, err := r.lost(log, gone, Place{next.Guest, next.Below(folder)})
	if err != nil {
		return experience{}, err
	}
	return experience{outage: e.Outage.Seconds(), failed: float64(e.Failed), lost: float64(lost), open: e.Open}, r.mend(ctx, s)
}

// lost counts acknowledged files that a server does not have.
func (r *run) lost(log []workload.Operation, gone time.Time, at Place) (int, error) {
	read, done, err := reader(r.Field, at)
	if err != nil {
		return 0, err
	}
	defer done()
	l, err := workload.Lost(log, gone, read)
	return len(l.Before) + len(l.After), err
}

// mend brings the source back, and starts the subject from nothing.
func (r *run) mend(ctx context.Context, s Subject) error {
	if err := r.Lab.Heal(ctx); err != nil {
		return err
	}
	m, err := guests.Find(source)
	if err != nil {
		return err
	}
	if err := r.Lab.Start(ctx, m); err != nil {
		return err
	}
	// HAFS is started by a boot.
	if err := r.othersStop(ctx, s); err != nil {
		return err
	}
	if err := s.Stop(ctx, r.Field); err != nil {
		return err
	}
	return r.start(ctx, s)
}
