package mirror

import (
	"hash/maphash"
	"sync"

	"hafs/lib/change"
)

// journal remembers for each file which state of it a replica was last given. A replica behind sshfs cannot tell two edits within
// one second apart, the journal can; and for a file that has not changed since, nobody has to ask the replica.
type journal struct {
	mu    sync.Mutex
	files map[string]known
	links map[fileID]map[string]struct{} // names of files that have several
}

// known is a state of a file of the share.
type known struct {
	size, mtime, ctime int64
	dev, ino           uint64
	hash               uint64 // of the content that was written; 0: it was found equal without reading it
}

// maxJournal bounds the memory to about 30 MB. Files beyond it are compared as after a restart.
const maxJournal = 200_000

func newJournal() *journal {
	return &journal{files: map[string]known{}, links: map[fileID]map[string]struct{}{}}
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
	now := state(e, k.hash)
	return k, found, found && k == now
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
	j.files[path] = state(e, hash)
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
	for path := range j.files {
		if _, still := visited[path]; !still {
			delete(j.files, path)
		}
	}
}

// seen notes a name of a file that has several.
func (j *journal) seen(path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := fileID{e.Dev, e.Ino}
	if j.links[id] == nil {
		j.links[id] = map[string]struct{}{}
	}
	j.links[id][path] = struct{}{}
}

// names lists the other names a file was seen under.
func (j *journal) names(path string, e *change.Entry) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var names []string
	for name := range j.links[fileID{e.Dev, e.Ino}] {
		if name != path {
			names = append(names, name)
		}
	}
	return names
}

// forget drops one name of a file that has it no more.
func (j *journal) forget(path string, id fileID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.links[id], path)
	if len(j.links[id]) == 0 {
		delete(j.links, id)
	}
}
