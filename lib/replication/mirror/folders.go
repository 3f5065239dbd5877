package mirror

import (
	"strings"

	"hafs/lib/replication/change"
)

// What the journal knows of directories: where each of the share was noted, what is in it, and which attributes the replica's has.

// folder is what was noted of one directory.
type folder struct {
	parent  *folder
	name    string
	id      fileID
	given   *attributes // the replica's directory has; nil: not known
	files   map[string]known
	folders map[string]*folder
	round   uint32 // in which it was seen last
}

// folder finds what is noted of a directory; with j.mu held. It is nil if there is nothing, unless it is to be made.
func (j *journal) folder(path string, make bool) *folder {
	f := j.top
	if path == "." {
		return f
	}
	for name := range strings.SplitSeq(path, "/") {
		next := f.folders[name]
		if next == nil {
			if !make {
				return nil
			}
			next = &folder{parent: f, name: name, round: j.round}
			f.adopt(next)
		}
		f = next
	}
	return f
}

func (f *folder) adopt(child *folder) {
	if f.folders == nil {
		f.folders = map[string]*folder{}
	}
	f.folders[child.name] = child
	child.parent = f
}

func (f *folder) path() string {
	if f.parent == nil {
		return "."
	}
	return change.Join(f.parent.path(), f.name)
}

func (f *folder) count() int {
	n := len(f.files)
	for _, child := range f.folders {
		n += child.count()
	}
	return n
}

// directory notes that the replica has a directory, for one of the share's.
func (j *journal) directory(path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.folder(path, true)
	f.id = identity(e)
	j.dirs[f.id] = f
}

// attributes are what a directory has besides what is in it.
type attributes struct {
	id             fileID // of the share's
	mode, uid, gid uint32
	mtime          int64
	xattrs         change.Xattrs // or their digest
}

func attributesOf(e *change.Entry) attributes {
	return attributes{identity(e), e.Mode, e.UID, e.GID, e.Mtime, e.Xattrs.Digest()}
}

// settle notes that the replica's directory has the attributes in e. It is that of the share from now on, which may have changed places with the one
// that was noted.
func (j *journal) settle(path string, e *change.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	given := attributesOf(e)
	f := j.folder(path, true)
	f.given, f.id = &given, given.id
	j.dirs[f.id] = f
}

// unsettle notes that something is being done in the replica's directory, which changes its time.
func (j *journal) unsettle(path string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f := j.folder(path, false); f != nil {
		f.given = nil
	}
}

// knows says whether the replica is known to have a directory for one of the share's.
func (j *journal) knows(path string, e *change.Entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.folder(path, false)
	return f != nil && f.id == identity(e)
}

// settled says whether the replica is known to have a directory like that of the share.
func (j *journal) settled(path string, e *change.Entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.folder(path, false)
	return f != nil && f.given != nil && *f.given == attributesOf(e)
}

// origin is the path under which a directory of the share was noted; empty if it was not.
func (j *journal) origin(e *change.Entry) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.dirs[identity(e)]
	if f == nil {
		return ""
	}
	if path := f.path(); j.folder(path, false) == f && f.id == identity(e) {
		return path
	}
	return "" // it was dropped meanwhile
}
