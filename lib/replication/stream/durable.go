package stream

import (
	"maps"
	"slices"
	"sync"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// unsynced are the paths that batches brought without a sync, because nobody waited for them. The kernel writes them back by itself within half a
// minute; whoever waits for them, or for everything, has them synced sooner.
type unsynced struct {
	mu    sync.Mutex
	paths map[string]bool
	// all says that there are no others. It is not so after a start, for a receiver before this one may have brought some, nor once they were too many.
	all bool
}

const (
	maxUnsynced = 1024
	// oneByOne is how many paths are synced each on its own. More of them take longer than to have the kernel write back all of the file system, in
	// which there may be much that is not the replica's.
	oneByOne = 64
)

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
		u.paths, u.all = nil, false
	}
}

// lose notes that there may be others than those that are known.
func (u *unsynced) lose() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = false
}

// synced notes that the whole file system was.
func (u *unsynced) synced() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.paths, u.all = nil, true
}

// few says whether everything can be synced one by one, so many further paths too.
func (u *unsynced) few(further int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all && len(u.paths)+further <= oneByOne
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

// take gives those of the wanted paths that may not be synced, or all that are known.
func (u *unsynced) take(wanted map[string]bool) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if wanted["."] {
		all := slices.Collect(maps.Keys(u.paths))
		u.paths = nil
		return all
	}
	var found []string
	for path := range wanted {
		if u.paths[path] || !u.all {
			delete(u.paths, path)
			found = append(found, path)
		}
	}
	return found
}

// durable says whether a file of this batch is to be on the disk before it gets its name.
func (b *carrying) durable(path string) bool {
	return b.wanted[path] || b.wanted["."] && !b.many.Load()
}

// brings notes what a step is about.
func (b *carrying) brings(op Op, path string) {
	b.paths = append(b.paths, path)
	b.many.Store(b.steps > oneByOne)
	b.loose[path] = op != OpDelete && !((op == OpWrite || op == OpWriteLarge) && b.durable(path))
}

// syncWanted makes sure that what is wanted so outlives a loss of power.
func (b *carrying) syncWanted() error {
	if b.wanted["."] && !b.unsynced.few(b.steps) {
		err := b.root.SyncAll()
		if err == nil {
			b.unsynced.synced()
		}
		return err
	}
	files, directories := map[string]bool{}, map[string]bool{}
	for _, path := range b.unsynced.take(b.wanted) {
		files[path], directories[parent(path)] = true, true
	}
	var rest []string // brought by this batch, and not wanted
	for _, path := range b.paths {
		if !b.wanted[path] && !b.wanted["."] {
			rest = append(rest, path)
			continue
		}
		files[path], directories[parent(path)] = b.loose[path], true
	}
	for _, some := range []map[string]bool{files, directories} { // a name leads to what is there already
		for path, wanted := range some {
			if !wanted {
				continue
			}
			if err := b.root.Sync(path); err != nil && !tree.Absent(err) {
				b.unsynced.lose()
				return err
			}
			delete(directories, path)
		}
	}
	b.unsynced.add(rest)
	return nil
}

func parent(path string) string {
	dir, _ := change.Split(path)
	return dir
}
