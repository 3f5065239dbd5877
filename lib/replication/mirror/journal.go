package mirror

import (
	"slices"
	"sync"
	"time"

	"hafs/lib/replication/change"
)

// journal remembers of files which state of them a replica was last given. A replica behind sshfs cannot tell two edits within
// one second apart, the journal can; for a file that has not changed since, nobody has to ask the replica; and what was moved in the
// share is recognised by its inode, so that it can be moved on the replica too.
type journal struct {
	mu     sync.Mutex
	top    *folder
	limit  int                // of files that are remembered; then those go that were given longest ago
	every  bool               // files that were only compared are remembered too
	count  int                // of files
	clock  uint32             // of what is put here
	forgot uint32             // when something was forgotten last; to look for it takes long
	inode  uint64             // the last one given
	names  *names             // of the share's files
	dirs   map[fileID]*folder // the same for directories, whose name is that of their folder
	round  uint32             // of the comparisons of everything: what a whole one did not come past is forgotten

	// alike are the files that are not remembered, by inode, with the time of their last change when the replica had the same; of the newest comparison of
	// everything, and of the one before it while that is under way.
	alike, before map[uint64]int64
}

// known is a state of a file of the share.
type known struct {
	size, mtime, ctime int64
	id                 fileID
	hash               uint64   // of the content that was written; 0: it was found equal without reading it
	racy               bool     // it was read so soon after it changed that a later change may bear the same time
	blocks             []uint64 // hashes of the blocks of a large file, as parts makes them; nil: not known
	inode              uint64   // stands for the replica's file: names with the same number are one file there; 0: not known
	round              uint32   // in which it was seen last
	put                uint32   // when it was noted
}

const (
	// maxJournal bounds the memory to about 40 MB where each look at the replica is dear.
	maxJournal = 200_000
	// recentJournal is for a replica that can be asked for many files at once: some 4 MB of what was given last.
	recentJournal = 20_000
)

// newJournal is for a replica of which every file is to be remembered.
func newJournal() *journal {
	return &journal{top: &folder{name: "."}, names: newNames(), dirs: map[fileID]*folder{}, limit: maxJournal, every: true}
}

// newRecentJournal is for a replica of which the files are to be remembered that were given last.
func newRecentJournal(n *names) *journal {
	return &journal{top: &folder{name: "."}, names: n, dirs: map[fileID]*folder{}, limit: recentJournal, alike: map[uint64]int64{}}
}

func identity(e *change.Entry) fileID { return fileID{e.Dev, e.Ino} }

// tick is how far apart two changes of a file must be to bear different times for sure: the kernel's clock for them ticks every 4 ms, or 10.
const tick = 12 * time.Millisecond

func state(e *change.Entry, hash uint64) known {
	racy := e.Seen-e.Ctime < int64(tick)
	return known{size: e.Size, mtime: e.Mtime, ctime: e.Ctime, id: identity(e), hash: hash, racy: racy}
}

// get returns what the replica was given, and whether that is exactly the file as it is now.
func (j *journal) get(path string, e *change.Entry) (k known, found, current bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k, found = j.look(path)
	same := k.size == e.Size && k.mtime == e.Mtime && k.ctime == e.Ctime && k.id == identity(e)
	return k, found, found && same && !k.racy
}

// has says whether a file is noted at a path.
func (j *journal) has(path string, e *change.Entry) bool {
	k, found, _ := j.get(path, e)
	return found && k.id == identity(e)
}

// written notes that the replica was given a new file, as it is in e.
func (j *journal) written(path string, e *change.Entry, hash uint64, blocks []uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k := state(e, hash)
	k.blocks = blocks
	j.inode++
	k.inode = j.inode
	j.put(path, k)
}

// same notes that the replica was found to have a file as it is in e, by size and time.
func (j *journal) same(path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(path, state(e, 0))
}

// put notes a state; with j.mu held.
func (j *journal) put(path string, k known) {
	dir, name := change.Split(path)
	f := j.folder(dir, true)
	if _, found := f.files[name]; !found {
		if j.count >= j.limit && j.clock-j.forgot >= uint32(j.limit/4) {
			j.forgot = j.clock
			j.forgetOld(j.top)
		}
		if j.count >= j.limit {
			j.clock++
			return
		}
		j.count++
	}
	if f.files == nil {
		f.files = map[string]known{}
	}
	j.clock++
	k.round, k.put = j.round, j.clock
	f.files[name] = k
}

// note notes when a file that is not remembered changed last; with j.mu held.
func (j *journal) note(inode uint64, changed int64) {
	if j.alike != nil && len(j.alike) < maxNames {
		j.alike[inode] = changed
	}
}

// forgetOld forgets what was noted longest ago, large files later than others: what is known of these saves much; with j.mu held.
func (j *journal) forgetOld(f *folder) {
	var left map[string]known // a map does not give back what it once took
	for name, k := range f.files {
		if age := j.clock - k.put; age >= uint32(j.limit) || k.blocks == nil && age >= uint32(j.limit/2) {
			j.count--
			if k.racy {
				k.ctime = 0 // no file has that
			}
			j.note(k.id.ino, k.ctime)
			continue
		}
		if left == nil {
			left = map[string]known{}
		}
		left[name] = k
	}
	f.files = left
	for _, child := range f.folders {
		j.forgetOld(child)
	}
}

// blocks are the hashes of the blocks of a large file as the replica has it; nil: not known. same: it is still the same file of the share.
func (j *journal) blocks(path string, source, replica *change.Entry) (blocks []uint64, same bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if k, _ := j.look(path); replica != nil && replica.Kind == change.File && k.size == replica.Size && k.mtime == replica.Mtime {
		return slices.Clone(k.blocks), k.id == identity(source)
	}
	return nil, false
}

// distrust forgets what is in a file of the replica.
func (j *journal) distrust(path string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if k, found := j.look(path); found {
		k.hash, k.blocks = 0, nil
		j.put(path, k)
	}
}

// keep notes that only attributes of a file became as they are in e.
func (j *journal) keep(path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k, _ := j.look(path)
	j.put(path, k.still(e))
}

// still is the state of a file whose content is known to be still the same.
func (k known) still(e *change.Entry) known {
	next := state(e, 0)
	if k.size == e.Size && k.mtime == e.Mtime && k.id == identity(e) {
		next.hash, next.blocks, next.inode = k.hash, k.blocks, k.inode
	}
	return next
}

// linked notes that the replica has a file under a further name.
func (j *journal) linked(from, path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k, _ := j.look(from)
	if k = k.still(e); k.inode == 0 {
		j.inode++
		k.inode = j.inode
	}
	j.put(from, k)
	j.put(path, k)
}

// look finds a note; with j.mu held.
func (j *journal) look(path string) (k known, found bool) {
	dir, name := change.Split(path)
	if f := j.folder(dir, false); f != nil {
		k, found = f.files[name]
	}
	return k, found
}

// drop forgets a path and all below it. The names stay: other replicas may not have been told of the move yet that took them away.
func (j *journal) drop(path string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, _, below := j.take(path); below != nil {
		j.leave(below)
	}
}

func (j *journal) leave(f *folder) {
	for _, child := range f.folders {
		j.leave(child)
	}
	if j.dirs[f.id] == f {
		delete(j.dirs, f.id)
	}
}

// take removes a path and all below it, and returns the parts; with j.mu held.
func (j *journal) take(path string) (k known, isFile bool, below *folder) {
	dir, name := change.Split(path)
	f := j.folder(dir, false)
	if f == nil || path == "." {
		return known{}, false, nil
	}
	if k, isFile = f.files[name]; isFile {
		delete(f.files, name)
		j.count--
	}
	if below = f.folders[name]; below != nil {
		delete(f.folders, name)
		j.count -= below.count()
	}
	return k, isFile, below
}

// moved notes that the replica's path from has become to.
func (j *journal) moved(from, to string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k, isFile, below := j.take(from)
	j.take(to)
	dir, name := change.Split(to)
	f := j.folder(dir, true)
	if isFile {
		if f.files == nil {
			f.files = map[string]known{}
		}
		f.files[name] = k
		j.count++
	}
	if below != nil {
		below.name = name
		f.adopt(below)
		j.count += below.count()
	}
}

// begin begins a comparison of everything.
func (j *journal) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.round = j.names.begin()
	if !j.every {
		if j.before == nil { // else the comparison before came to no end
			j.before = j.alike
		}
		j.alike = map[uint64]int64{}
	}
}

// visit notes that a comparison of everything came past a path of the share.
func (j *journal) visit(path string, kind change.FileKind) {
	j.mu.Lock()
	defer j.mu.Unlock()
	dir, name := change.Split(path)
	f := j.folder(dir, false)
	if f == nil {
		return
	}
	if kind == change.Directory {
		if f = f.folders[name]; f != nil {
			f.round = j.round
		}
	} else if k, found := f.files[name]; found {
		k.round = j.round
		f.files[name] = k
	}
}

// retain drops what the comparison of everything that ends now did not come past.
func (j *journal) retain() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.before = nil
	clear(j.dirs)
	j.prune(j.top)
	j.count = j.top.count()
	j.names.retain(j.round)
}

func (j *journal) prune(f *folder) {
	for name, k := range f.files {
		if k.round != j.round {
			delete(f.files, name)
		}
	}
	for name, child := range f.folders {
		if child.round != j.round {
			delete(f.folders, name)
			continue
		}
		j.dirs[child.id] = child
		j.prune(child)
	}
}

// compared notes that the replica was found to have a file as it is in e, by size and time.
func (j *journal) compared(path string, e *change.Entry) {
	switch {
	case j.every:
		j.same(path, e)
	case e.Seen-e.Ctime >= int64(tick):
		j.mu.Lock()
		j.note(e.Ino, e.Ctime)
		j.mu.Unlock()
	}
}

// doubtful says whether a file that is not remembered has changed since the replica had the same.
func (j *journal) doubtful(e *change.Entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	changed, known := j.alike[e.Ino]
	if !known {
		changed, known = j.before[e.Ino]
	}
	return known && changed != e.Ctime
}
