package stream

import (
	"context"
	"time"

	"hafs/lib/replication/tree"
)

// remove takes away whatever has a name: into the trash if that is kept.
func (s *serving) remove(from *tree.Dir, name string) error {
	if s.KeepDeleted == 0 {
		return from.RemoveTree(name)
	}
	return s.trash.Take(from, name, time.Now())
}

// makeRoom gives up the oldest hour of the trash. Whoever had no room tries again.
func (s *serving) makeRoom() {
	emptied, err := s.trash.EmptyOldest()
	switch {
	case err != nil:
		s.Log.Warn().Err(err).Msg("empty the trash: there is no room")
	case emptied != "":
		s.Log.Warn().Str("hour", emptied).Msg("there is no room: the oldest hour of the trash is given up")
	}
}

// trashEvery is how often the trash is looked through.
const trashEvery = 10 * time.Minute

// EmptyTrash removes what has been in the trash for longer than KeepDeleted, until the context ends.
func (r *Receiver) EmptyTrash(ctx context.Context) {
	for {
		if root, err := tree.Open(r.Path); err != nil {
			r.Log.Warn().Err(err).Msg("empty the trash")
		} else {
			trash := tree.NewTrash(root, r.TrashDirectory)
			if err := trash.Empty(time.Now().Add(-r.KeepDeleted)); err != nil {
				r.Log.Warn().Err(err).Msg("empty the trash")
			}
			trash.Close()
			root.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(trashEvery):
		}
	}
}
