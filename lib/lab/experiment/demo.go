package experiment

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
)

// Demo is the paper's experiment: M2, W3 and L1 fail in turn, and are taken back.
type Demo struct {
	Bench
	Rounds  int    // of each failure
	Returns int    // rounds of the paper's section 5.2, without spares
	Out     string // folder of report.json and the pictures
}

// The share of the paper's own use holds about 10 MB.
const (
	shareFiles    = 640
	shareFileSize = 16 << 10
)

var failures = []string{"M2", "W3", "L1"}

// Run does the whole experiment. What was measured so far is in the report whenever it stops.
func (d *Demo) Run(ctx context.Context) (Report, error) {
	report := Report{}
	settings, err := d.prepare(ctx)
	if err != nil {
		return report, err
	}
	report.Settings = settings
	for round := 1; round <= d.Rounds; round++ {
		for _, name := range failures {
			run, err := d.breakAndRestore(ctx, name, round)
			if err != nil {
				return report, fmt.Errorf("round %d, %s fails: %w", round, name, err)
			}
			report.Runs = append(report.Runs, run)
			if err := report.Save(filepath.Join(d.Out, "report.json")); err != nil {
				return report, err
			}
		}
	}
	if err := d.returns(ctx, &report); err != nil {
		return report, err
	}
	return report, d.draw(report)
}

func (d *Demo) prepare(ctx context.Context) (Settings, error) {
	d.say("bring the cluster to the paper's roles: %s", shape.Paper())
	if err := d.Restore(ctx, shape.Paper()); err != nil {
		return Settings{}, err
	}
	if err := d.Prepare(ctx, d.Client); err != nil {
		return Settings{}, err
	}
	d.say("%s writes %d files of %d KiB through /system", d.Client, shareFiles, shareFileSize>>10)
	if err := d.Fill(ctx, d.Client, shareFiles, shareFileSize); err != nil {
		return Settings{}, err
	}
	if err := d.AwaitIdentical(ctx, returnLimit); err != nil {
		return Settings{}, err
	}
	d.say("every replica is identical to the share")
	sights, err := witness.Look(d.Lab)
	if err != nil {
		return Settings{}, err
	}
	return Settings{
		Started: time.Now(), ExaminationTimeS: sights[0].Settings.ExaminationTime.Seconds(), Rounds: d.Rounds,
		ShareFiles: shareFiles, ShareBytes: shareFiles * shareFileSize, Client: d.Client,
		ClientIntervalMS: float64(interval.Milliseconds()), Failure: string(Kill), Guests: len(sights), CPUs: runtime.NumCPU(),
	}, nil
}

func (d *Demo) breakAndRestore(ctx context.Context, name string, round int) (Run, error) {
	d.say("round %d: %s loses its power", round, name)
	run, err := d.Trial(ctx, Kill, Second{}, name)
	if err != nil {
		return run, err
	}
	run.Round = round
	d.say("  detected after %.2f s, restored %.2f s later in generation %d; the client waited %.2f s, %d operations failed, %d files lost",
		run.Detected, run.Recovered, run.Generation, run.ClientOutage, run.ClientFailedOps, run.LostFiles)
	if run.Readmitted, err = d.takeBack(ctx, name); err != nil {
		return run, err
	}
	d.say("  %s is switched on again and taken back after %.2f s", name, run.Readmitted)
	return run, d.Restore(ctx, shape.Paper())
}

// takeBack switches a guest on and returns the seconds until it is a member again.
func (d *Demo) takeBack(ctx context.Context, name string) (float64, error) {
	m, err := guests.Find(name)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	if err := d.Lab.Start(ctx, m); err != nil {
		return 0, err
	}
	if _, err := d.Await(ctx, shape.Shape{Failed: []string{}}, true, returnLimit); err != nil {
		return 0, fmt.Errorf("%s is not taken back: %w", name, err)
	}
	return time.Since(started).Seconds(), nil
}

// returns is the paper's section 5.2: no spare is left, and the failed guest is started again at once.
func (d *Demo) returns(ctx context.Context, report *Report) error {
	if d.Returns == 0 {
		return nil
	}
	d.say("no spares: M3 and W2 make a fourth pair")
	for round := 1; round <= d.Returns; round++ {
		for _, name := range failures {
			if err := d.Restore(ctx, shape.WithoutSpares()); err != nil {
				return err
			}
			r, err := d.returnOf(ctx, name)
			if err != nil {
				return fmt.Errorf("without spares, %s fails: %w", name, err)
			}
			r.Round = round
			report.Returns = append(report.Returns, r)
			d.say("  %s failed as %s and is back as %s %.2f s after the detection", name, r.Role, r.BackAs, r.Returned)
			if err := report.Save(filepath.Join(d.Out, "report.json")); err != nil {
				return err
			}
		}
	}
	return d.Restore(ctx, shape.Paper())
}

func (d *Demo) returnOf(ctx context.Context, name string) (Return, error) {
	before, err := d.Await(ctx, shape.WithoutSpares(), true, moveLimit)
	if err != nil {
		return Return{}, err
	}
	m, err := guests.Find(name)
	if err != nil {
		return Return{}, err
	}
	d.say("without spares: %s loses its power", name)
	failed, _, err := d.Break(ctx, Kill, name)
	if err != nil {
		return Return{}, err
	}
	// Switched on as soon as it is failed in the record: guests start faster here than the examination time, and nobody would notice.
	between, err := d.awaitRecord(ctx, shape.Shape{Failed: []string{name}})
	if err != nil {
		return Return{}, err
	}
	on := time.Now()
	if err := d.Lab.Start(ctx, m); err != nil {
		return Return{}, err
	}
	login := time.Since(on)
	after, err := d.Await(ctx, shape.Shape{Failed: []string{}}, true, returnLimit)
	if err != nil {
		return Return{}, err
	}
	var first Story // of the repair; the server may be back before all of it was done
	back, err := d.story(ctx, after.Members(), failed, func(m []Milestone) Story {
		first = Tell(before, between, []string{name}, failed, m)
		return Tell(between, after, nil, first.Detected, m)
	})
	switch {
	case err != nil:
		return Return{}, err
	case first.Detected.IsZero():
		return Return{}, fmt.Errorf("nobody called %s lost", name)
	}
	return Return{
		Failed: name, Role: string(before.Role(name)), BackAs: string(after.Role(name)), Generation: after.Generation,
		Detected: first.Detected.Sub(failed).Seconds(), PoweredOn: on.Sub(first.Detected).Seconds(), StartTook: login.Seconds(),
		Returned: back.Restored().Sub(first.Detected).Seconds(),
	}, nil
}

// awaitRecord waits for the newest record alone, whatever the servers have made of it.
func (d *Demo) awaitRecord(ctx context.Context, wanted shape.Shape) (record.Record, error) {
	deadline := time.Now().Add(repairLimit)
	for {
		sights, err := witness.Look(d.Lab)
		if err != nil {
			return record.Record{}, err
		}
		r, found := witness.Newest(sights)
		missing := wanted.Mismatches(r)
		if found && len(missing) == 0 {
			return r, nil
		}
		if time.Now().After(deadline) {
			return r, fmt.Errorf("not within %s: %s", repairLimit, join(missing))
		}
		if err := pause(ctx, lookPause); err != nil {
			return r, err
		}
	}
}

func (d *Demo) say(text string, args ...any) { d.Lab.Log.Info().Msgf(text, args...) }
