package role

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/problem"
	"hafs/lib/host/system"
)

// Keeper makes one server be what the record says.
type Keeper struct {
	Settings config.Settings
	Machine  system.Machine
	Log      zerolog.Logger
	Places   Places

	pulled pulled // of a server that was away
}

// unitPatience bounds the start or stop of one unit; a mount of the share may have to wait for its file sharing server.
const unitPatience = 20 * time.Second

// mountPause is how long the mounts of replicas wait when nothing but people looks through them: a failover has more urgent work.
const mountPause = 2 * time.Second

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Apply brings this server in line with the record as it is now. dryRun only lists the steps.
func (k *Keeper) Apply(ctx context.Context, dryRun bool) ([]Step, error) {
	r, err := record.Store{Directory: k.Settings.StateDirectory}.Current()
	if err != nil {
		return nil, err
	}
	if _, known := r.Server(k.Settings.Name); !known {
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
	steps := Plan(r, k.Settings.Name, now, k.Places)
	if dryRun {
		return steps, nil
	}
	return steps, k.establish(ctx, units, r, now, steps)
}

// establish carries the steps out and says in role.json what came of them. The role is established before the replicas' mounts are made.
func (k *Keeper) establish(ctx context.Context, units system.Units, r record.Record, now Now, steps []Step) error {
	before := ReadState(k.Settings)
	state := State{Generation: r.Generation, Role: r.Role(k.Settings.Name), Since: before.Since}
	state.Mounted = Want(r, k.Settings.Name, now, k.Places).Mounted
	held := k.check(r, now.Confirmed)
	if k.pulled.generation == r.Generation && k.pulled.err == nil && k.pulled.replaced(held == nil, k.renewed()) {
		k.pulled.err = errReplaced // and so it is done again
	}
	err := errors.Join(k.prepare(r), held)
	mounts := slices.IndexFunc(steps, func(s Step) bool { return s.Phase == phaseMount })
	if mounts < 0 {
		mounts = len(steps)
	}
	if err == nil {
		err = k.carryOut(ctx, units, r, steps[:mounts])
	}
	if ctx.Err() != nil {
		return ctx.Err() // another pass follows at once
	}
	if back := k.pulled; err == nil && now.Confirmed && state.Role == record.RoleFailed && back.generation == r.Generation {
		err = back.err
		state.Fit = err == nil
	}
	filling := uint64(0)
	if state.Role == record.RoleFailed && !state.Fit {
		filling = r.Generation
	}
	state.Aside = k.aside(filling)
	switch {
	case err != nil:
		state.Problem, state.ProblemID = err.Error(), problem.Of(err)
	case !now.Confirmed:
		state.Problem = "waiting until a majority of the servers has confirmed the record"
	case state.Role == record.RoleFS && !now.Leased:
		state.Problem = "waiting for the lease: a majority of the servers has to answer"
	}
	if established := state.Problem == ""; established && (before.Generation != r.Generation || before.Problem != "" || before.Since.IsZero()) {
		state.Since = k.Machine.Now()
		k.Log.Info().Str("event", "established").Uint64("generation", r.Generation).Str("role", string(state.Role)).Int("steps", len(steps)).Msg("role established")
	}
	if err := errors.Join(err, writeState(k.Machine, k.Settings, state)); err != nil || mounts == len(steps) {
		return err
	}
	if k.Settings.Transport == config.TransportStream {
		if err := pause(ctx, mountPause); err != nil {
			return err
		}
	}
	if err = k.carryOut(ctx, units, r, steps[mounts:]); err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	state.Problem, state.ProblemID = err.Error(), problem.Of(err)
	return errors.Join(err, writeState(k.Machine, k.Settings, state))
}

// check refuses to serve from a directory that does not hold the share.
func (k *Keeper) check(r record.Record, confirmed bool) error {
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
func (k *Keeper) carryOut(ctx context.Context, units system.Units, r record.Record, steps []Step) error {
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

func (k *Keeper) phase(ctx context.Context, units system.Units, r record.Record, steps []Step) []error {
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

func (k *Keeper) step(ctx context.Context, units system.Units, r record.Record, s Step) error {
	ctx, cancel := context.WithTimeoutCause(ctx, unitPatience, fmt.Errorf("not done in %s", unitPatience))
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

// prepare makes the directories a server needs whatever its role.
func (k *Keeper) prepare(r record.Record) error {
	for _, dir := range append([]string{k.Places.Client}, r.FS.MountPoints...) {
		if err := k.Machine.MakeDirectory("make "+dir, dir, 0o000); err != nil {
			return err
		}
	}
	return nil
}
