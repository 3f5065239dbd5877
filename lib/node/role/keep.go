package role

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/system"
)

// checkPause is how long this server is trusted to stay as it was made: an operator may stop a unit, a program may end.
const checkPause = 30 * time.Second

// retryPause is how soon a step that failed, such as a mount from a server that is not up yet, is tried again.
const retryPause = time.Second

// lookPause is how soon somebody who has removed what was kept aside is believed.
const lookPause = 2 * time.Second

// situation is all that a plan depends on and that others change. A pass that was begun in another one is broken off.
type situation struct {
	generation string // where the link current leads
	confirmed  bool
	leased     bool // as the file sharing server
	draining   bool
	torn       bool // as the file sharing server
}

func (k *Keeper) situation() situation {
	var s situation
	s.generation, _ = os.Readlink(k.Settings.State("current"))
	_, err := os.Stat(k.Settings.Run("confirmed"))
	s.confirmed = err == nil
	_, err = os.Stat(k.Settings.Run("draining"))
	s.draining = err == nil
	s.leased = lease.Held(k.Settings.Run("lease"))
	s.torn = s.leased && k.Settings.Torn()
	return s
}

// Keep brings this server in line with the record, and again whenever the situation changes, until ctx ends.
func (k *Keeper) Keep(ctx context.Context) error {
	wake, err := k.watch(ctx)
	if err != nil {
		return err
	}
	system.Ready(ctx, func() bool { return true })
	back := returning{keeper: k, done: make(chan pulled, 1)}
	defer back.stop()
	for ctx.Err() == nil {
		now := k.situation()
		err := k.pass(ctx, wake, now)
		if errors.Is(err, errOvertaken) {
			continue
		}
		pause := checkPause
		if now.torn { // nothing tells when it is not any more
			pause = retryPause
		}
		if err != nil {
			pause = retryPause
			k.Log.Error().Err(err).Msg("this server is not what the record says")
		}
		back.begin(ctx, now)
		var look <-chan time.Time
		aside := ReadState(k.Settings).Aside
		if aside != "" {
			look = time.Tick(lookPause)
		}
		for again := time.After(pause); ; {
			select {
			case <-wake:
				if k.situation() == now {
					continue
				}
			case <-time.After(lease.Ends(k.Settings.Run("lease"))): // nobody may be left to take the file away
				if k.situation() == now {
					continue
				}
			case <-look:
				if _, err := os.Lstat(aside); err == nil {
					continue
				}
			case k.pulled = <-back.done:
			case <-again:
			case <-ctx.Done():
			}
			break
		}
	}
	return nil
}

// errOvertaken means that the situation changed during a pass.
var errOvertaken = errors.New("the situation has changed")

// pass does one pass, and breaks it off when the situation is not the one it was begun in: a mount that hangs in an old generation must not hold
// up a newer one.
func (k *Keeper) pass(ctx context.Context, wake <-chan struct{}, now situation) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := k.Apply(ctx, false)
		if errors.Is(err, record.ErrNone) {
			err = nil // not deployed yet
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return err
		case <-wake:
			if k.situation() != now {
				cancel()
				<-done
				return errOvertaken
			}
		}
	}
}

// watch sends a word whenever the situation may have changed.
func (k *Keeper) watch(ctx context.Context) (<-chan struct{}, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	// The directories, because a link that is swapped makes no event of its own.
	for _, dir := range []string{k.Settings.StateDirectory, k.Settings.RunDirectory} {
		if err := watcher.Add(dir); err != nil {
			watcher.Close()
			return nil, err
		}
	}
	wake := make(chan struct{}, 1)
	go func() {
		defer watcher.Close()
		for {
			select {
			case e := <-watcher.Events:
				if !slices.Contains([]string{"current", "confirmed", "lease", "draining"}, filepath.Base(e.Name)) {
					continue
				}
			case <-watcher.Errors: // an overflow: look again
			case <-ctx.Done():
				return
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}()
	return wake, nil
}

// returning brings the copy of a server that was away up to date, beside the passes: that may take hours.
type returning struct {
	keeper *Keeper
	in     uint64 // generation it is done in; 0: not at all
	cancel context.CancelFunc
	done   chan pulled
	ended  chan struct{} // closed when the last attempt has ended, however
}

// begin starts when this server has failed in the record, once in each generation and again after a failure; in any other role it stops.
func (b *returning) begin(ctx context.Context, now situation) {
	r, err := record.Store{Directory: b.keeper.Settings.StateDirectory}.Current()
	if err != nil || !now.confirmed || r.Role(b.keeper.Settings.Name) != record.RoleFailed {
		b.stop()
		return
	}
	last := b.keeper.pulled
	if b.in == r.Generation && (last.generation != r.Generation || last.err == nil) {
		return
	}
	b.stop()
	ctx, b.cancel = context.WithCancel(ctx)
	b.in, b.keeper.pulled = r.Generation, pulled{}
	before, ended := b.ended, make(chan struct{})
	b.ended = ended
	go func() {
		defer close(ended)
		if before != nil {
			<-before // both work in the copy, and in what was kept aside
		}
		p := pulled{generation: r.Generation, renewed: b.keeper.renewed()}
		p.err = b.keeper.pull(ctx, r)
		if ctx.Err() == nil {
			b.done <- p
		}
	}()
}

func (b *returning) stop() {
	if b.cancel != nil {
		b.cancel()
	}
	b.in, b.cancel = 0, nil
}
