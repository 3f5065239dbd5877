package role

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/config"
	"hafs/lib/gate"
	"hafs/lib/record"
	"hafs/lib/system"
)

// Keeper makes one server be what the record says.
type Keeper struct {
	Settings config.Settings
	Machine  system.Machine
	Log      zerolog.Logger
	Places   Places
}

// unitPatience bounds the start or stop of one unit; a mount of the share may have to wait for its file sharing server.
const unitPatience = 20 * time.Second

// Converge reads the record and carries out what it takes, again until the record has not changed meanwhile. dryRun only lists the steps.
func (k Keeper) Converge(ctx context.Context, dryRun bool) ([]Step, error) {
	store := record.Store{Directory: k.Settings.StateDirectory}
	for {
		r, err := store.Current()
		if err != nil {
			return nil, err
		}
		steps, err := k.pass(ctx, r, dryRun)
		if dryRun || err != nil {
			return steps, err
		}
		if again, err := store.Current(); err != nil || again.Generation == r.Generation {
			return steps, err
		}
	}
}

func (k Keeper) pass(ctx context.Context, r record.Record, dryRun bool) ([]Step, error) {
	self, known := r.Server(k.Settings.Name)
	if !known {
		return nil, fmt.Errorf("this server, %s, is not in the record %s", k.Settings.Name, r)
	}
	units, err := k.Machine.Units(ctx)
	if err != nil {
		return nil, err
	}
	defer units.Close()
	now, err := observe(ctx, units, k.Settings, r)
	if err != nil {
		return nil, err
	}
	steps := Plan(r, self.Name, now, k.Places)
	if dryRun {
		return steps, nil
	}
	before := ReadState(k.Settings)
	state := State{Generation: r.Generation, Role: r.Role(self.Name), Since: before.Since}
	state.Mounted = Want(r, self.Name, now, k.Places).Mounted
	err = k.check(r, now.Confirmed)
	if err == nil {
		err = k.carryOut(ctx, units, r, steps)
	}
	if err == nil && now.Confirmed && state.Role == record.RoleFailed {
		state.Aside, err = k.pull(ctx, r)
		state.Fit = err == nil
	}
	switch {
	case err != nil:
		state.Problem = err.Error()
	case !now.Confirmed:
		state.Problem = "waiting until a majority of the servers has confirmed the record"
	case state.Role == record.RoleFS && !now.Leased:
		state.Problem = "waiting for the lease: a majority of the servers has to answer"
	}
	if established := state.Problem == ""; established && (before.Generation != r.Generation || before.Problem != "" || before.Since.IsZero()) {
		state.Since = k.Machine.Now()
		k.Log.Info().Str("event", "established").Uint64("generation", r.Generation).Str("role", string(state.Role)).Int("steps", len(steps)).Msg("role established")
	}
	return steps, errors.Join(err, writeState(k.Machine, k.Settings, state))
}

// check refuses to serve from a directory that does not hold the share.
func (k Keeper) check(r record.Record, confirmed bool) error {
	if !confirmed {
		return nil
	}
	if err := gate.CheckMarker(r.DataDirectory, r.Cluster); err != nil {
		return fmt.Errorf("%s: %w", k.Settings.Name, err)
	}
	return nil
}

// carryOut does the steps, phase after phase. All steps of a phase are tried even if one fails: a unit that does not start must not keep
// the link from moving.
func (k Keeper) carryOut(ctx context.Context, units system.Units, r record.Record, steps []Step) error {
	var failures []error
	for first := 0; first < len(steps); {
		last := first
		for last < len(steps) && steps[last].Phase == steps[first].Phase {
			last++
		}
		failures = append(failures, k.phase(ctx, units, r, steps[first:last])...)
		first = last
	}
	return errors.Join(failures...)
}

func (k Keeper) phase(ctx context.Context, units system.Units, r record.Record, steps []Step) []error {
	results := make([]error, len(steps))
	var running sync.WaitGroup
	for i, s := range steps {
		running.Go(func() {
			started := time.Now()
			results[i] = k.step(ctx, units, r, s)
			k.Log.Info().Err(results[i]).Str("step", s.String()).Dur("took_ms", time.Since(started)).Msg("step")
		})
	}
	running.Wait()
	return results
}

func (k Keeper) step(ctx context.Context, units system.Units, r record.Record, s Step) error {
	ctx, cancel := context.WithTimeout(ctx, unitPatience)
	defer cancel()
	name := s.String()
	switch s.Action {
	case EndSession:
		return k.Machine.End(name, s.PID)
	case Link:
		return k.Machine.SwapLink(name, s.Target, r.FS.Link)
	case StopUnit:
		return units.Stop(ctx, name, s.Target)
	case StartUnit:
		return units.Start(ctx, name, s.Target)
	case RestartUnit:
		return units.Restart(ctx, name, s.Target)
	}
	return fmt.Errorf("unknown step %q", name)
}

// Prepare makes the directories a server needs whatever its role.
func (k Keeper) Prepare(r record.Record) error {
	dirs := append([]string{k.Places.Client}, r.FS.MountPoints...)
	for _, dir := range dirs {
		if err := k.Machine.MakeDirectory("make "+dir, dir, 0o000); err != nil {
			return err
		}
	}
	return nil
}
