package change

import "time"

// FileKind is what sort of thing a path names.
type FileKind string

const (
	File      FileKind = "file"
	Directory FileKind = "directory"
	Symlink   FileKind = "symlink"
	Special   FileKind = "special" // FIFO, socket, device: not part of what is replicated
)

// Entry is what one side has at a path.
type Entry struct {
	Kind   FileKind
	Size   int64  // bytes, of a file
	Mtime  int64  // nanoseconds since 1970
	Mode   uint32 // permission bits with setuid, setgid and sticky
	UID    uint32
	GID    uint32
	Target string // of a symlink; empty when it could not be read, as sshfs refuses for targets that lead out of the mount
	Hash   uint64 // of a file's content; 0 when not known. Only hashes made by one process can be compared.
	Xattrs Xattrs // of those that are replicated, ACLs among them

	// What the comparison does not look at: identity of the inode, and when this was read.
	Ctime    int64
	Dev, Ino uint64
	Nlink    uint64
	Seen     int64 // nanoseconds since 1970
}

// Fidelity is how exactly a replica can hold what the share has.
type Fidelity struct {
	Clock           time.Duration // granularity of modification times; 0 is as fine as they come
	PlainSymlinks   bool          // symlinks have no owner and no time of their own that could be set
	UnknownIdentity bool          // inode numbers say nothing about hard links
	NoXattrs        bool          // there are no extended attributes, and so no ACLs
}

// OverSSHFS is what sshfs can hold: SFTP carries whole seconds and no extended attributes, and setting anything on a symlink would change its target.
var OverSSHFS = Fidelity{Clock: time.Second, PlainSymlinks: true, UnknownIdentity: true, NoXattrs: true}

// Compare is the paper's comparison for one path (section 3.3): only in the share, in both but different, only in the replica, or the
// same. An absent entry is nil. Times of directories count: a copy is finished when they are right too. Special files
// count as absent in the share, and are never the reason for a change when both sides have one.
func Compare(share, replica *Entry, f Fidelity) Kind {
	if share != nil && share.Kind == Special {
		if replica == nil || replica.Kind == Special {
			return Same
		}
		share = nil
	}
	switch {
	case share == nil && replica == nil:
		return Same
	case replica == nil:
		return Create
	case share == nil:
		return Delete
	case share.Kind != replica.Kind, ContentDiffers(share, replica, f), AttributesDiffer(share, replica, f):
		return Overwrite
	}
	return Same
}

// ContentDiffers compares two entries of one kind by what can be known without reading files: hashes when both are known, otherwise
// size and time of a file; the target of a symlink. Directories have no content of their own.
func ContentDiffers(share, replica *Entry, f Fidelity) bool {
	switch share.Kind {
	case File:
		if share.Size != replica.Size {
			return true
		}
		if share.Hash != 0 && replica.Hash != 0 {
			return share.Hash != replica.Hash
		}
		return !f.sameTime(share.Mtime, replica.Mtime)
	case Symlink:
		return share.Target != replica.Target
	}
	return false
}

// Unknown says that an entry could not be read in full, so that it must be taken for different unless something else is known.
func (e *Entry) Unknown() bool { return e.Kind == Symlink && e.Target == "" }

// AttributesDiffer compares owner, mode, time and extended attributes, as far as the replica can hold them.
func AttributesDiffer(share, replica *Entry, f Fidelity) bool {
	if !f.NoXattrs && !share.Xattrs.Same(replica.Xattrs) {
		return true
	}
	if share.Kind == Symlink {
		return !f.PlainSymlinks && (share.UID != replica.UID || share.GID != replica.GID || !f.sameTime(share.Mtime, replica.Mtime))
	}
	return share.UID != replica.UID || share.GID != replica.GID || share.Mode != replica.Mode || !f.sameTime(share.Mtime, replica.Mtime)
}

func (f Fidelity) sameTime(a, b int64) bool {
	if f.Clock == 0 {
		return a == b
	}
	return floor(a, int64(f.Clock)) == floor(b, int64(f.Clock))
}

// floor rounds towards the past, also before 1970.
func floor(t, unit int64) int64 {
	if r := t % unit; r < 0 {
		return t - r - unit
	} else {
		return t - r
	}
}
