package mirror

import (
	"slices"
	"sync"

	"hafs/lib/replication/change"
)

// names are the names under which each file of the share was seen, by its inode, one list for all replicas of the share. A file may get further names at any
// time, and may have lost some that are still here: who uses them has to look. They go when a comparison of everything has not come past them.
type names struct {
	mu    sync.Mutex
	first map[fileID]seenName   // of most files the only one
	more  map[fileID][]seenName // the others
	round uint32                // of the comparisons of everything
	all   bool                  // one of them came to its end, and everything was looked at since
}

// seenName is a name of a file.
type seenName struct {
	path  string
	round uint32 // in which it was seen last
}

const (
	// maxNames bounds the memory to about 120 MB. Beyond it only names of files with several are kept: others are copied where they might be moved.
	maxNames = 1 << 20
	// maxStaleNames is how many names a file with only one may seem to have before the others are forgotten.
	maxStaleNames = 8
)

func newNames() *names {
	return &names{first: map[fileID]seenName{}, more: map[fileID][]seenName{}}
}

// begin begins a comparison of everything, whose round it returns.
func (n *names) begin() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.round++
	return n.round
}

// seen notes a name of a file.
func (n *names) seen(path string, e *change.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, now := identity(e), seenName{path, n.round}
	before, known := n.first[id]
	more := n.more[id]
	at := slices.IndexFunc(more, func(name seenName) bool { return name.path == path })
	switch {
	case !known && (e.Nlink > 1 || len(n.first) < maxNames), known && before.path == path:
		n.first[id] = now
	case !known:
	case at >= 0:
		more[at] = now
	case e.Nlink == 1 && len(more) >= maxStaleNames:
		n.first[id] = now
		delete(n.more, id)
	default:
		n.more[id] = append(more, now)
	}
}

// whole says whether all names are known, as far as files have several.
func (n *names) whole() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all
}

// lose notes that names may come that nobody sees.
func (n *names) lose() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = false
}

// files counts the files that were seen and may be there.
func (n *names) files() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.first)
}

// others lists the other names of a file.
func (n *names) others(path string, e *change.Entry) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var others []string
	for _, name := range n.of(identity(e)) {
		if name.path != path {
			others = append(others, name.path)
		}
	}
	return others
}

// of are all names of a file; with n.mu held.
func (n *names) of(id fileID) []seenName {
	first, known := n.first[id]
	if !known {
		return nil
	}
	return append([]seenName{first}, n.more[id]...)
}

// drop drops one name of a file.
func (n *names) drop(path string, id fileID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keep(id, func(name seenName) bool { return name.path != path })
}

// retain drops what was not seen since a round began, that of a comparison which has come to its end.
func (n *names) retain(round uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = true
	for id, first := range n.first {
		if first.round < round || n.more[id] != nil {
			n.keep(id, func(name seenName) bool { return name.round >= round })
		}
	}
}

// keep drops the names of a file that are not wanted; with n.mu held.
func (n *names) keep(id fileID, wanted func(seenName) bool) {
	left := slices.DeleteFunc(n.of(id), func(name seenName) bool { return !wanted(name) })
	if len(left) == 0 {
		delete(n.first, id)
		delete(n.more, id)
		return
	}
	n.first[id] = left[0]
	if left = left[1:]; len(left) > 0 {
		n.more[id] = slices.Clone(left)
	} else {
		delete(n.more, id)
	}
}
