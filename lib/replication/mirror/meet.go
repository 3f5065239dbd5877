package mirror

import (
	"context"
	"slices"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
)

// Who feeds a replica that was fed before, by this server or by the one it succeeds, need not compare everything first. If both have been at one position of
// the share, they differ at most in what was done to either since then: change.History. The comparison of everything follows when the replica counts already.

// meeting is a transport that can tell what a replica may differ in.
type meeting interface {
	// Meet returns what is to be looked at, after which the replica is like the share. Without it only a comparison of everything tells that.
	Meet(context.Context) (changes []change.Change, met bool, err error)
}

// Meet asks the replica for its history, which its session begins with if there is none.
func (s *Stream) Meet(ctx context.Context) (changes []change.Change, met bool, err error) {
	if s.History == nil {
		return nil, false, nil
	}
	err = s.call(ctx, func(ctx context.Context) error {
		if err := s.check(ctx); err != nil {
			return err
		}
		changes, met, err = s.meet()
		return err
	})
	return changes, met && err == nil, err
}

func (s *Stream) meet() ([]change.Change, bool, error) {
	position := s.session.Position()
	switch {
	case !position.Complete || !s.session.Histories():
		return nil, false, nil
	case s.compared: // something is otherwise on the replica than was thought, and it is not known where
		return nil, false, nil
	case !s.names.whole(): // of a file that is written all names are to be known
		return nil, false, nil
	}
	common, known := s.History.Common(position)
	if !known {
		return nil, false, nil
	}
	changes, from, known, err := s.session.Since(common)
	if err != nil || !known {
		return nil, false, err
	}
	ours, _, known := s.History.Since(from) // asked last: what comes later is in the replica's queue
	changes = append(changes, ours...)
	if !known || asksForAll(changes) {
		return nil, false, nil
	}
	s.Log.Info().Uint64("generation", common.Generation).Uint64("number", common.Number).Int("changes", len(changes)).Msg("the replica is compared where it may differ; all else follows")
	s.compared, s.unsettled = true, true
	paths, _ := asked(changes)
	return changes, true, s.foresee(paths)
}

// foresee asks for the sums of small files that may have to be compared, many at once. They hold until something is done.
func (s *Stream) foresee(wanted []string) error {
	var paths []string
	for _, path := range wanted {
		if e, err := s.Share.Lstat(path); err == nil && isFile(e) && e.Size <= stream.SmallBytes {
			paths = append(paths, path)
		}
	}
	if len(paths) < 2 {
		return nil
	}
	if s.foreseen == nil {
		s.foreseen = map[string]stream.Found{}
	}
	for some := range slices.Chunk(paths, foreseenAtOnce) {
		found, err := s.session.Look(some, true)
		if err != nil {
			return err
		}
		for _, f := range found {
			s.foreseen[f.Path] = f
		}
	}
	return nil
}

// foreseenAtOnce bounds what a replica reads, at most stream.SmallBytes of each file, before it answers.
const foreseenAtOnce = 500

// meet finds out where a replica may differ from the share before it counts; with r.mu held, which it gives back meanwhile. If that is not known everything is
// compared first, otherwise later.
func (r *replica) meet(ctx context.Context) ([]change.Change, error) {
	r.needFull, r.large = false, nil // unless the session ends meanwhile
	t, is := r.transport.(meeting)
	if is {
		r.working, r.answeredAt = 1, time.Now()
		r.mu.Unlock()
		r.here()
		changes, met, err := t.Meet(ctx)
		r.mu.Lock()
		r.working = 0
		switch {
		case err != nil:
			return nil, err
		case met:
			r.comparison = &comparison{Comparison: NewComparison(false), resume: time.Now()}
			return append([]change.Change{}, changes...), nil
		}
	}
	r.must(time.Now())
	return nil, nil
}

// retell has the replica told its position again, twice, when nothing is written any more: what was done to it just before it came there is then of no doubt, and
// it differs from others in nothing; with r.mu held.
func (r *replica) retell(p change.Position, changes int) {
	switch {
	case !p.Exact:
		r.retells = 0
	case changes > 0:
		r.retells, r.retellAt = 2, time.Now().Add(change.Overlap+time.Second)
	case r.retells > 0:
		r.retells, r.retellAt = r.retells-1, time.Now().Add(change.Overlap+time.Second)
	}
}

// retelling says how long it is until a position is told again; false: it need not be. With r.mu held.
func (r *replica) retelling(now time.Time) (time.Duration, bool) {
	return r.retellAt.Sub(now), r.retells > 0 && r.status.State == Complete && !r.comparing()
}
