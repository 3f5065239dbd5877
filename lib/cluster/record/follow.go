package record

import (
	"context"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Follow sends the current record and every newer one until ctx ends; then the channel is closed. Who is slow gets only the newest.
func (s Store) Follow(ctx context.Context) (<-chan Record, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	// The link current is swapped by a rename in the state directory; a watch on the link itself would follow it.
	if err := watcher.Add(s.Directory); err != nil {
		watcher.Close()
		return nil, err
	}
	records := make(chan Record, 1)
	go func() {
		defer close(records)
		defer watcher.Close()
		s.follow(ctx, watcher, records)
	}()
	return records, nil
}

func (s Store) follow(ctx context.Context, watcher *fsnotify.Watcher, records chan Record) {
	var last string
	for {
		if r, err := s.Current(); err == nil && r.Digest() != last {
			last = r.Digest()
			select {
			case <-records: // an older one that nobody took
			default:
			}
			records <- r
		}
		if !s.swapped(ctx, watcher) {
			return
		}
	}
}

// swapped waits until the link current may have been swapped; false when ctx ended.
func (s Store) swapped(ctx context.Context, watcher *fsnotify.Watcher) bool {
	for {
		select {
		case e, ok := <-watcher.Events:
			if !ok {
				return false
			}
			if filepath.Base(e.Name) == "current" {
				return true
			}
		case _, ok := <-watcher.Errors: // an overflow: look again
			return ok
		case <-ctx.Done():
			return false
		}
	}
}
