package mirror

import (
	"cmp"
	"slices"

	"hafs/lib/change"
)

// candidate is something that may have been moved in the share from one path to another, and what is at both paths now.
type candidate struct {
	from, to                 string
	share, replica           *change.Entry // at to
	shareFrom, replicaOrigin *change.Entry // at from
}

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
	case c.share.Kind == change.Directory:
		return c.replica == nil
	case c.share.Kind == change.File:
		return c.share.Nlink == 1 && c.replicaOrigin.Nlink == 1 && (c.replica == nil || c.replica.Kind == change.File)
	}
	return false
}

// move repeats on the replica what was moved in the share, as far as it is recognised.
func (d *Directory) move(changes []change.Change) error {
	var paths []string
	for _, c := range changes {
		if c.Kind != change.Barrier && c.Path != "." {
			paths = append(paths, c.Path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(change.Depth(a), change.Depth(b)) })
	for _, path := range paths {
		c, err := d.recognise(path)
		if err != nil {
			return err
		}
		if !movable(c) {
			continue
		}
		moved, err := d.replica.Move(c.from, c.to)
		if err != nil {
			return err
		}
		if moved {
			d.Log.Debug().Str("step", "move").Str("from", c.from).Str("to", c.to).Send()
			d.journal.moved(c.from, c.to)
		}
	}
	return nil
}

// recognise finds where what is at a path was before. It costs the replica nothing as long as that is not known.
func (d *Directory) recognise(path string) (c candidate, err error) {
	c.to = path
	e, err := d.Share.Lstat(path)
	if err != nil || e == nil {
		return c, err
	}
	switch e.Kind {
	case change.Directory:
		c.from = d.journal.origin(e)
	case change.File:
		for _, name := range d.journal.others(path, e) {
			if k, found, _ := d.journal.get(name, e); found && k.size == e.Size && k.mtime == e.Mtime && k.id == identity(e) {
				c.from = name
			}
		}
	}
	if c.from == "" || c.from == path {
		return candidate{}, nil
	}
	c.share = e
	if c.shareFrom, err = d.Share.Lstat(c.from); err != nil {
		return c, err
	}
	if c.replica, err = d.replica.Lstat(path); err != nil {
		return c, err
	}
	c.replicaOrigin, err = d.replica.Lstat(c.from)
	return c, err
}
