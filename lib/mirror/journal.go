package mirror

import (
	"hash/maphash"
	"slices"
	"sync"

	"hafs/lib/change"
)

// journal remembers for each file which state of it a replica was last given. A replica behind sshfs cannot tell two edits within
// one second apart, the journal can; and for a file that has not changed since, nobody has to ask the replica.
type journal struct {
	mu    sync.Mutex
	files map[string]known
	made  map[string]uint64 // directories made on the replica: what was noted below them before is void
	clock uint64
	names map[fileID][]string // under which each inode was seen; a file may get further ones at any time
}

// known is a state of a file of the share.
type known struct {
	size, mtime, ctime int64
	dev, ino           uint64
	hash               uint64 // of the content that was written; 0: it was found equal without reading it
	noted              uint64 // by the journal's clock
}

// maxJournal bounds the memory to about 30 MB. Files beyond it are compared as after a restart.
const maxJournal = 200_000

func newJournal() *journal {
	return &journal{files: map[string]known{}, made: map[string]uint64{}, names: map[fileID][]string{}}
}

var hashSeed = maphash.MakeSeed()

func state(e *change.Entry, hash uint64) known {
	return known{size: e.Size, mtime: e.Mtime, ctime: e.Ctime, dev: e.Dev, ino: e.Ino, hash: hash}
}

// get returns what the replica was given, and whether that is exactly the file as it is now.
func (j *journal) get(path string, e *change.Entry) (k known, found, current bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k, found = j.files[path]
	if !found || j.void(path, k) {
		return known{}, false, false
	}
	now := state(e, k.hash)
	now.noted = k.noted
	return k, true, k == now
}

// void says whether a directory above the path was made anew after the note; with j.mu held.
func (j *journal) void(path string, k known) bool {
	for dir := path; dir != "." && len(j.made) > 0; {
		if dir = parent(dir); j.made[dir] > k.noted {
			return true
		}
	}
	return false
}

// madeDirectory notes that the replica has a new, empty directory.
func (j *journal) madeDirectory(path string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock++
	j.made[path] = j.clock
}

// keep notes a state whose content is the one that was written before, if there was one.
func (j *journal) keep(path string, e *change.Entry) {
	hash := uint64(0)
	if k, found, _ := j.get(path, e); found && k.size == e.Size && k.mtime == e.Mtime && k.ino == e.Ino {
		hash = k.hash
	}
	j.put(path, e, hash)
}

func (j *journal) put(path string, e *change.Entry, hash uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, found := j.files[path]; !found && len(j.files) >= maxJournal {
		for victim := range j.files { // any will do
			delete(j.files, victim)
			break
		}
	}
	k := state(e, hash)
	j.clock++
	k.noted = j.clock
	j.files[path] = k
}

func (j *journal) drop(path string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.files, path)
}

// retain drops all files but those visited, after a scan of everything.
func (j *journal) retain(visited map[string]struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for path, k := range j.files {
		if _, still := visited[path]; !still || j.void(path, k) {
			delete(j.files, path)
			delete(j.names, fileID{k.dev, k.ino})
		}
	}
	clear(j.made)
}

// seen notes a name of a file.
func (j *journal) seen(path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := fileID{e.Dev, e.Ino}
	switch {
	case e.Nlink <= 1:
		j.names[id] = []string{path}
	case !slices.Contains(j.names[id], path):
		j.names[id] = append(j.names[id], path)
	}
}

// others lists the other names a file was seen under; it may have lost them since.
func (j *journal) others(path string, e *change.Entry) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.names[fileID{e.Dev, e.Ino}]), func(name string) bool { return name == path })
}

// forget drops one name of a file that has it no more.
func (j *journal) forget(path string, id fileID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.names[id] = slices.DeleteFunc(j.names[id], func(name string) bool { return name == path })
	if len(j.names[id]) == 0 {
		delete(j.names, id)
	}
}
