package stream

import (
	"maps"
	"slices"
	"sync"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
)

// unsynced are the paths that batches brought without a sync, because nobody waited for them. The kernel writes them back by itself within half a
// minute; whoever waits for everything has them synced sooner, unless they are too many: syncing ten thousand files one by one takes longer than that.
type unsynced struct {
	mu    sync.Mutex
	paths map[string]bool
}

const maxUnsynced = 1024

func (u *unsynced) add(paths []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.paths == nil {
		u.paths = map[string]bool{}
	}
	for _, path := range paths {
		u.paths[path] = true
	}
	if len(u.paths) > maxUnsynced {
		clear(u.paths)
	}
}

// moved follows a rename, which is not synced either.
func (u *unsynced) moved(from, to string) {
	u.mu.Lock()
	var below []string
	for path := range u.paths {
		if path != from && change.Within(path, from) {
			delete(u.paths, path)
			below = append(below, to+path[len(from):])
		}
	}
	u.mu.Unlock()
	u.add(append(below, from, to))
}

// take gives those of the wanted paths that are not synced, or all.
func (u *unsynced) take(wanted map[string]bool) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if wanted["."] {
		all := slices.Collect(maps.Keys(u.paths))
		clear(u.paths)
		return all
	}
	var found []string
	for path := range wanted {
		if u.paths[path] {
			delete(u.paths, path)
			found = append(found, path)
		}
	}
	return found
}

// durable says whether a path of this batch is to be on the disk before the answer.
func (b *carrying) durable(path string) bool { return b.wanted[path] || b.wanted["."] }

// syncWanted makes sure that what is wanted so outlives a loss of power. Files of this batch were synced before they got their names.
func (b *carrying) syncWanted() error {
	fresh, directories := map[string]bool{}, map[string]bool{}
	var rest []string // brought by this batch, and not wanted
	for _, path := range b.paths {
		if !b.durable(path) {
			rest = append(rest, path)
			continue
		}
		fresh[path], directories[parent(path)] = true, true
	}
	for _, path := range b.unsynced.take(b.wanted) {
		directories[parent(path)] = true
		if fresh[path] {
			continue
		}
		if err := b.root.Sync(path); err != nil && !tree.Absent(err) {
			return err
		}
	}
	for path := range directories {
		if err := b.root.Sync(path); err != nil && !tree.Absent(err) {
			return err
		}
	}
	b.unsynced.add(rest)
	return nil
}

func parent(path string) string {
	dir, _ := change.Split(path)
	return dir
}
