package mirror

import (
	"context"
	"sync"
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

// foresee asks for the sums of small files at once that may have to be compared: one question instead of one each. They hold until something is done.
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
	found, err := s.session.Look(paths, true)
	if err != nil {
		return err
	}
	if s.foreseen == nil {
		s.foreseen = map[string]stream.Found{}
	}
	for _, f := range found {
		s.foreseen[f.Path] = f
	}
	return nil
}

// meet finds out where a replica may differ from the share before it counts; with r.mu held, which it gives back meanwhile. If that is not known everything is
// compared first, otherwise later.
func (r *replica) meet(ctx context.Context) ([]change.Change, error) {
	r.needFull = false // unless the session ends meanwhile
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
		r.retells, r.retellAt = 2, time.Now().Add(change.Lead+time.Second)
	case r.retells > 0:
		r.retells, r.retellAt = r.retells-1, time.Now().Add(change.Lead+time.Second)
	}
}

// retelling says how long it is until a position is told again; false: it need not be. With r.mu held.
func (r *replica) retelling(now time.Time) (time.Duration, bool) {
	return r.retellAt.Sub(now), r.retells > 0 && r.status.State == Complete && !r.comparing()
}

// numbers are those that positions of a server's copy have. The file sharing server numbers the share's changes. Whoever is fed counts its own, to know what its
// replicas have, and tells them the positions that it was told: so those of all copies are of one kind.
type numbers struct {
	mu      sync.Mutex
	leading bool   // this server is the file sharing server
	since   uint64 // the generation in which it became that
	origins []origin
}

// origin is a position that this server was told, and how many changes of its copy it had counted by then.
type origin struct {
	position change.Position
	number   uint64
}

// maxOrigins is more than what is under way to a replica.
const maxOrigins = 8192

func (n *numbers) lead(generation uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if generation > 0 && !n.leading {
		n.since, n.origins = generation, nil
	}
	n.leading = generation > 0
}

func (n *numbers) leads(generation uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leading && generation >= n.since
}

// reached notes a position, and says whether it is the first, or the same again: then this server's own replicas are to hear of it though nothing was written.
func (n *numbers) reached(p change.Position, number uint64) (quiet bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := len(n.origins) - 1
	quiet = last < 0 || n.origins[last].position == p
	if len(n.origins) >= maxOrigins {
		n.origins = append([]origin(nil), n.origins[maxOrigins/2:]...)
	}
	n.origins = append(n.origins, origin{p, number})
	return quiet
}

// of is the position of a replica that has everything up to a number, all: that is all there is; false: there is none to tell.
func (n *numbers) of(generation, number uint64, all bool) (change.Position, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leading {
		return change.Position{Generation: generation, Number: number, Complete: true, Exact: all}, generation >= n.since
	}
	for i := len(n.origins) - 1; i >= 0; i-- {
		if o := n.origins[i]; o.number <= number {
			// What was reported since is of a batch that is under way here: the replica has its beginning, before there is a position that has it.
			o.position.Exact = o.position.Exact && all && o.number == number
			return o.position, true
		}
	}
	return change.Position{}, false
}

// Lead tells in which generation this server is the file sharing server, before Keep does; 0: it is not. It is for a Mirror with a History.
func (m *Mirror) Lead(generation uint64) { m.numbers.lead(generation) }

// Reached tells that this server's copy has come to a position, as whoever feeds it says.
func (m *Mirror) Reached(p change.Position) {
	if !p.Complete {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.History != nil {
		m.History.Reached(p, time.Now())
	}
	if m.numbers.reached(p, m.number) {
		m.say()
	}
}

// remember tells the history of a change that was reported; with m.mu held.
func (m *Mirror) remember(c change.Change) {
	if m.History == nil {
		return
	}
	m.reach()
	m.History.Do(c)
}

// reach tells the history the position of the file sharing server; with m.mu held.
func (m *Mirror) reach() {
	if m.numbers.leads(m.generation) {
		m.History.Is(change.Position{Generation: m.generation, Number: m.number, Complete: true, Exact: true})
	}
}

// here makes the newest position one that others may have in common.
func (m *Mirror) here() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.History != nil {
		m.reach()
	}
}

// position is that of a replica which has everything up to a number; all: it is then like the share, but for what comes or is not told yet.
func (m *Mirror) position(generation, number uint64, all bool) (change.Position, bool) {
	if m.History == nil {
		return change.Position{Generation: generation, Number: number, Complete: true}, true
	}
	return m.numbers.of(generation, number, all)
}
