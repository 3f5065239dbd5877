// Package watch turns the kernel's events below a directory into changes.
//
// It promises that after something happened to a path a change is reported for it, or a rescan of a directory above it, later than it
// happened; duplicates are fine. Events only say "look here" (the paper's section 3.3): what they mean is found by comparing.
// When the kernel loses events, everything is to be compared again. It does not see writes through memory mappings, nor
// what others do below a network mount: inotify does not.
package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
)

// Watcher watches one share.
type Watcher struct {
	Share  string // absolute path
	Root   *tree.Root
	Open   func() (Kernel, error) // a new kernel queue; again after it overflowed
	Settle time.Duration          // how long changes are gathered before they are reported
	Limit  int                    // paths kept in memory while the reader is slow; 0: DefaultLimit
	Raw    func(string)           // when set, gets every event as the kernel told it
	Ready  func()                 // when set, called once everything is watched
	Log    zerolog.Logger

	mu      sync.Mutex
	pending change.Set
	number  uint64
	counts  Counts
	turned  time.Time
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

// patience is how long one event may take: to watch and list a new directory with all that is below it.
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

// read handles events until something is wrong. Each turn uses one kernel queue.
func (w *Watcher) read(ctx context.Context) error {
	for first := true; ; first = false {
		lost, err := w.oneQueue(ctx, first)
		if lost == nil || err != nil {
			return err
		}
		w.mu.Lock()
		w.counts.Overflows++
		n := w.counts.Overflows
		w.mu.Unlock()
		w.Log.Warn().Err(lost).Int("overflows", n).
			Msg("the kernel lost events: comparing everything (its queue holds fs.inotify.max_queued_events)")
	}
}

func (w *Watcher) oneQueue(ctx context.Context, first bool) (lost, err error) {
	kernel, err := w.Open()
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	dirs := newDirectories(w.Share, w.Root, kernel)
	if err := dirs.build(); err != nil {
		return nil, fmt.Errorf("watch %s: %w", w.Share, err)
	}
	w.add(change.Change{Kind: change.Rescan, Path: "."})
	if first && w.Ready != nil {
		w.Ready()
	}
	w.reportCookies()
	present := time.NewTicker(presence)
	defer present.Stop()
	for {
		w.mu.Lock()
		w.turned = time.Now()
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-present.C:
			if err := w.Root.StillThere(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrGone, err)
			}
		case e, ok := <-kernel.Events():
			if !ok {
				return nil, errors.New("the kernel gives no more events")
			}
			if w.Raw != nil {
				w.Raw(e.Raw)
			}
			if e.Lost != nil {
				return e.Lost, nil
			}
			if err := w.handle(dirs, e); err != nil {
				return nil, err
			}
		}
	}
}

func (w *Watcher) handle(dirs *directories, e Event) error {
	path := "."
	if e.Path != w.Share {
		path = strings.TrimPrefix(strings.TrimPrefix(e.Path, w.Share), "/")
	}
	if path == "." && e.Gone {
		return fmt.Errorf("%w: %s was moved or deleted", ErrGone, w.Share)
	}
	if id, isCookie := strings.CutPrefix(path, change.CookiePrefix); isCookie && change.CheckID(id) == nil {
		switch {
		case e.New:
			w.add(change.Change{Kind: change.Barrier, Path: id})
		case e.Gone: // taking it away changed the time of the share itself
			w.add(change.Change{Kind: change.Look, Path: "."})
		}
		return nil
	}
	if change.Temporary(path) || !e.New && !e.Gone && w.nameless(path) {
		return nil
	}
	w.add(change.Change{Kind: change.Look, Path: path})
	if e.New || e.Gone {
		fresh, err := dirs.changed(path, e.Gone)
		if err != nil {
			return fmt.Errorf("watch %s: %w", dirs.absolute(path), err)
		}
		if fresh { // only now that all of it is watched; it may be new or have been moved here, over what the replicas have
			w.add(change.Change{Kind: change.Rescan, Path: path})
		}
	}
	return nil
}

// nameless says whether a path is how the kernel calls a file that has no name (O_TMPFILE): "#" and its inode. hafs-linkcheck writes one every second.
// When such a file gets a name, that is an event of its own.
func (w *Watcher) nameless(path string) bool {
	_, name := change.Split(path)
	digits, marked := strings.CutPrefix(name, "#")
	if !marked || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	e, err := w.Root.Lstat(path)
	return e == nil && err == nil
}

// reportCookies reports the barriers whose marks were made before everything was watched, or whose events were lost.
func (w *Watcher) reportCookies() {
	d, err := w.Root.Dir(".")
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.List()
	for _, name := range names {
		if id, isCookie := strings.CutPrefix(name, change.CookiePrefix); isCookie && change.CheckID(id) == nil {
			w.add(change.Change{Kind: change.Barrier, Path: id})
		}
	}
}

func (w *Watcher) add(c change.Change) {
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
