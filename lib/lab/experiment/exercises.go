package experiment

import (
	"context"
	"fmt"
	"time"

	"hafs/lib/lab/exercise"
	"hafs/lib/lab/shape"
)

// Exercises does exercises on a guest, through /system, and after each waits until all replicas are identical to the share.
func (b *Bench) Exercises(ctx context.Context, on string, wanted []exercise.Exercise, within time.Duration) error {
	r, err := b.Await(ctx, shape.Shape{}, true, moveLimit)
	if err != nil {
		return err
	}
	if err := b.Prepare(ctx, on); err != nil {
		return err
	}
	limit := within
	top := fmt.Sprintf("/system/exercise-%s-%d", on, time.Now().Unix())
	for _, e := range wanted {
		if e.OnFS && on != r.FS.Name {
			continue
		}
		started := time.Now()
		if err := b.exercise(ctx, on, r.FS.Name, top, e); err != nil {
			return fmt.Errorf("exercise %s on %s: %w", e.Name, on, err)
		}
		did := time.Since(started)
		if e.Many { // so it is for what comes after it, too: its files are there until the end
			limit = manyTimes * within
		}
		if err := b.AwaitIdentical(ctx, limit); err != nil {
			return fmt.Errorf("after exercise %s on %s: %w", e.Name, on, err)
		}
		b.Lab.Log.Info().Msgf("%-18s on %s: identical %.2f s after it (which took %.2f s): %s", e.Name, on, (time.Since(started) - did).Seconds(), did.Seconds(), e.What)
	}
	if err := b.run(ctx, r.FS.Name, "rm", "-rf", top); err != nil {
		return err
	}
	return b.AwaitIdentical(ctx, limit)
}

// manyTimes is how much longer replicas may take with very many files.
const manyTimes = 6

const watcher = "hafs-watch.service"

// exercise does one, with the watcher of the share stopped when it is to miss events.
func (b *Bench) exercise(ctx context.Context, on, fs, top string, e exercise.Exercise) error {
	if e.Stalled {
		if err := b.run(ctx, fs, "systemctl", "kill", "--kill-whom=main", "--signal=STOP", watcher); err != nil {
			return err
		}
	}
	err := b.run(ctx, on, programOn, "perform", top, e.Name)
	if e.Stalled {
		if resume := b.run(ctx, fs, "systemctl", "kill", "--kill-whom=main", "--signal=CONT", watcher); resume != nil {
			return resume
		}
	}
	return err
}
