package mirror

import (
	"cmp"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// candidate is something that may have been moved in the share from one path to another, and what is at both paths now.
type candidate struct {
	from, to                 string
	share, replica           *change.Entry // at to
	shareFrom, replicaOrigin *change.Entry // at from
	forgotten                bool          // the journal does not say what the replica has at from
}

// rememberedFor is how long a file is most likely in the journal after it was written: a younger one that is not there is new.
const rememberedFor = time.Minute

// movable decides whether the replica may do the same move instead of a copy and a delete. What is at its new path is compared afterwards as
// if it had been there before, so that this is never more than a short cut.
func movable(c candidate) bool {
	switch {
	case c.share == nil || c.replicaOrigin == nil || c.replicaOrigin.Kind != c.share.Kind:
		return false
	case change.Within(c.to, c.from) || change.Within(c.from, c.to):
		return false
	case c.shareFrom != nil && identity(c.shareFrom) == identity(c.share): // a second name, not a move
		return false
	case c.forgotten && c.shareFrom != nil: // what the replica has there may be that
		return false
	case c.share.Kind == change.Directory:
		return c.replica == nil
	case c.share.Kind == change.File:
		alike := c.replicaOrigin.Size == c.share.Size && c.replicaOrigin.Mtime == c.share.Mtime
		return (alike || !c.forgotten) && c.share.Nlink == 1 && c.replicaOrigin.Nlink == 1 && (c.replica == nil || c.replica.Kind == change.File)
	}
	return false
}

// mover repeats on the replica what was moved in the share, as far as it is recognised.
type mover struct {
	share   *tree.Root
	journal *journal
	look    func(path, from string) (at, origin *change.Entry, err error) // what the replica has at both
	rename  func(from, to string) (bool, error)                           // on the replica
	log     zerolog.Logger
}

func (d *Directory) mover() mover {
	look := func(path, from string) (at, origin *change.Entry, err error) {
		if at, err = d.replica.Lstat(path); err == nil {
			origin, err = d.replica.Lstat(from)
		}
		return at, origin, err
	}
	return mover{d.Share, d.journal, look, d.replica.Move, d.Log}
}

// move returns the changes with what else is to be compared then: something else that has the path from which something was moved.
func (m mover) move(changes []change.Change) ([]change.Change, error) {
	var paths []string
	for _, c := range changes {
		if c.Kind != change.Barrier && c.Path != "." {
			paths = append(paths, c.Path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(change.Depth(a), change.Depth(b)) })
	for _, path := range paths {
		c, err := m.recognise(path)
		if err != nil {
			return changes, err
		}
		if !movable(c) {
			continue
		}
		moved, err := m.rename(c.from, c.to)
		if err != nil {
			return changes, err
		}
		if moved {
			m.log.Debug().Str("step", "move").Str("from", c.from).Str("to", c.to).Send()
			m.journal.unsettle(parent(c.from))
			m.journal.unsettle(parent(c.to))
			m.journal.moved(c.from, c.to)
			if c.shareFrom != nil { // nothing may have happened there since it was compared
				changes = append(slices.Clip(changes), change.Change{Kind: change.Rescan, Path: c.from})
			}
		}
	}
	return changes, nil
}

// recognise finds where what is at a path was before. It costs the replica nothing as long as that is not known.
func (m mover) recognise(path string) (c candidate, err error) {
	c.to = path
	e, err := m.share.Lstat(path)
	if err != nil || e == nil { // whoever looks at the path finds the error again
		return candidate{}, nil
	}
	switch e.Kind {
	case change.Directory:
		c.from = m.journal.origin(e)
	case change.File:
		for _, name := range m.journal.names.others(path, e) {
			if k, found, _ := m.journal.get(name, e); found && k.size == e.Size && k.mtime == e.Mtime && k.id == identity(e) {
				c.from, c.forgotten = name, false
			} else if !found && c.from == "" && e.Nlink == 1 && e.Seen-e.Mtime > int64(rememberedFor) && !m.journal.has(path, e) {
				c.from, c.forgotten = name, true
			}
		}
	}
	if c.from == "" || c.from == path {
		return candidate{}, nil
	}
	c.share = e
	if c.shareFrom, err = m.share.Lstat(c.from); err != nil {
		return c, err
	}
	c.replica, c.replicaOrigin, err = m.look(path, c.from)
	return c, err
}
