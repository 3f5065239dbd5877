package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hafs/lib/replication/change"
)

// read handles events until something is wrong. Each turn uses one kernel queue; there is a second one only when what the first one lost
// could not be found.
func (w *Watcher) read(ctx context.Context) error {
	for first := true; ; first = false {
		lost, err := w.oneQueue(ctx, first)
		if lost == nil || err != nil {
			return err
		}
		w.Log.Warn().Err(lost).Msg("what was lost cannot be found: watching anew and comparing everything")
	}
}

func (w *Watcher) oneQueue(ctx context.Context, first bool) (lost, err error) {
	kernel, err := w.Open()
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	w.turn()
	dirs := newDirectories(w.Root, kernel, w.add, w.turn)
	dirs.tell = func(path string, why error) {
		w.Log.Warn().Str("path", path).Err(why).Msg("not watched: what happens below it is not seen")
	}
	if err := dirs.build(); err != nil {
		return nil, fmt.Errorf("watch %s: %w", w.Share, err)
	}
	w.add(change.Change{Kind: change.Rescan, Path: "."})
	if first {
		w.begin(len(dirs.known))
	}
	for _, barrier := range w.cookies() {
		w.add(barrier)
	}
	present := time.NewTicker(presence)
	defer present.Stop()
	for {
		w.turn()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-present.C:
			if err := w.Root.StillThere(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrGone, err)
			}
			dirs.sweep(dirs.unwatch)
			if err := dirs.retry(); err != nil {
				return nil, fmt.Errorf("watch %s: %w", w.Share, err)
			}
			w.checkWatches(len(dirs.known))
		case <-kernel.Waiting():
			batch, err := kernel.Take()
			if err != nil {
				return nil, err
			}
			lost, err := w.handleAll(ctx, dirs, batch)
			if lost != nil || err != nil {
				return lost, err
			}
		}
	}
}

// begin says that everything is watched.
func (w *Watcher) begin(directories int) {
	log := w.Log.Info()
	if queue := setting(queueSetting); queue < queueAdvised {
		log = log.Str("hint", fmt.Sprintf("more events can wait with sysctl -w %s=%d", queueSetting, queueAdvised))
	}
	log.Int("directories", directories).Int(watchesSetting, setting(watchesSetting)).Int(queueSetting, setting(queueSetting)).Msg("watching")
	w.checkWatches(directories)
	if w.Ready != nil {
		w.Ready()
	}
}

func (w *Watcher) checkWatches(used int) {
	if used <= w.watches {
		return
	}
	w.watches = used
	if limit := setting(watchesSetting); w.gauge.short(used, limit) {
		w.Log.Warn().Int("watches", used).Int(watchesSetting, limit).
			Msg("watches run short; when there are no more, watching ends: raise the limit")
	}
}

func (w *Watcher) handleAll(ctx context.Context, dirs *directories, batch Batch) (lost, err error) {
	for raw := batch.Raw; len(raw) > 0; {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var e event
		if e, raw, err = cut(raw); err != nil {
			return nil, err
		}
		w.turn()
		if e.overflow() {
			sure := batch.Sure[0]
			batch.Sure = batch.Sure[1:]
			if lost, err = w.find(dirs, sure); lost != nil || err != nil {
				return lost, err
			}
			continue
		}
		if err := w.handle(dirs, e); errors.Is(err, ErrGone) {
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("watch %s: %w", w.Share, err)
		}
	}
	return nil, nil
}

// find reports what may have changed while events were lost, and watches what is new.
func (w *Watcher) find(dirs *directories, sure Moment) (lost, err error) {
	w.mu.Lock()
	w.counts.Overflows++
	n := w.counts.Overflows
	w.mu.Unlock()
	begin := w.clock()
	everything := setBack(sure, begin)
	// Only the marks that are there before the walk: what happened before a later one may be where the walk has been already.
	cookies := w.cookies()
	err = dirs.again(sure.since(), everything)
	if errors.Is(err, ErrGone) || errors.Is(err, ErrLimit) {
		return nil, err
	}
	if err != nil {
		return err, nil
	}
	if everything {
		w.add(change.Change{Kind: change.Rescan, Path: "."})
	}
	w.Log.Warn().Int("overflows", n).Bool("clock-set-back", everything).Int64("ms", (w.clock().Steady-begin.Steady)/int64(time.Millisecond)).
		Msg("the kernel lost events (its queue holds fs.inotify.max_queued_events): looked for what changed meanwhile")
	for _, barrier := range cookies {
		w.add(barrier)
	}
	return nil, nil
}

// turn notes that this goroutine goes on.
func (w *Watcher) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turned = time.Now()
}

func (w *Watcher) clock() Moment {
	if w.Clock != nil {
		return w.Clock()
	}
	return now()
}
