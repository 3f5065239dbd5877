// Package watch turns the kernel's events below a directory into changes.
//
// It promises that after something happened to a path a change is reported for it, or a rescan of a directory above it, later than it
// happened; duplicates are fine. Events only say "look here" (the paper's section 3.3): what they mean is found by comparing.
// When the kernel loses events, the dates of files tell what may have changed meanwhile; what was made and deleted again in that time is not
// reported. It does not see writes through memory mappings, nor what others do below a network mount: inotify does not.
package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Watcher watches one share.
type Watcher struct {
	Share  string // absolute path
	Root   *tree.Root
	Open   func() (Kernel, error) // a new kernel queue; again if what one lost could not be found
	Settle time.Duration          // how long changes are gathered before they are reported
	Limit  int                    // paths kept in memory while the reader is slow; 0: DefaultLimit
	Raw    func(string)           // when set, gets every event as the kernel told it
	Ready  func()                 // when set, called once everything is watched
	Clock  func() Moment          // nil: the machine's
	Log    zerolog.Logger

	mu      sync.Mutex
	pending change.Set
	number  uint64
	counts  Counts
	turned  time.Time
	gauge   gauge
	watches int // most so far
	wake    chan struct{}
	hurry   chan struct{}
}

// Counts are what an operator should know of.
type Counts struct {
	Overflows int // times the kernel lost events
	Collapses int // times too many paths were waiting
}

// Counts returns them as they are now.
func (w *Watcher) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}

// Alive says whether events are being taken; a file system that hangs stops that.
func (w *Watcher) Alive() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.turned) < patience
}

// patience is how long one directory may take to be read, or one event to be handled.
const patience = 30 * time.Second

// DefaultLimit is about 10 MB of paths.
const DefaultLimit = 100_000

// presence is how often the share is looked for under its name: an unmount makes no event.
const presence = 500 * time.Millisecond

// ErrGone means that the share is not where it was.
var ErrGone = errors.New("the share is gone")

// Run reports changes to out, which may block as long as it likes, until the context ends or the share is gone. The first report is a
// rescan of everything. Run uses out from one goroutine only.
func (w *Watcher) Run(ctx context.Context, out func([]change.Change) error) error {
	if w.Limit == 0 {
		w.Limit = DefaultLimit
	}
	w.pending.Limit = w.Limit
	w.wake, w.hurry = make(chan struct{}, 1), make(chan struct{}, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(w.write(ctx, out)) }()
	err := w.read(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (w *Watcher) add(c change.Change) {
	if c.Kind != change.Barrier && len(c.Path) > change.MaxPathBytes { // it cannot be named; whoever compares the directory above finds out
		c = change.Change{Kind: change.Rescan, Path: change.Shortened(c.Path)}
	}
	w.mu.Lock()
	w.number++
	collapsed := w.pending.Add(w.number, c)
	if collapsed {
		w.counts.Collapses++
	}
	w.mu.Unlock()
	if collapsed {
		w.Log.Warn().Int("limit", w.Limit).Msg("too many changes are waiting: giving up their paths for a rescan")
	}
	signal(w.wake)
	if c.Kind == change.Barrier { // somebody is waiting
		signal(w.hurry)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write hands over what has gathered, after it had a moment to settle.
func (w *Watcher) write(ctx context.Context, out func([]change.Change) error) error {
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		if !first && w.Settle > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-w.hurry:
			case <-time.After(w.Settle):
			}
		}
		w.mu.Lock()
		changes, _ := w.pending.Take(0)
		w.mu.Unlock()
		if len(changes) == 0 {
			continue
		}
		if err := out(changes); err != nil {
			return fmt.Errorf("report changes: %w", err)
		}
	}
}
