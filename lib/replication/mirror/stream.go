package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// Stream is a replica that a receiver of package stream keeps, at the other end of one stream of bytes. It costs one or two round trips a
// batch, whatever is in it, and holds everything the share has.
type Stream struct {
	Share *tree.Root
	// Open makes a new stream to the receiver. Close of what it returns must end a Read and a Write that hang.
	Open       func(context.Context) (io.ReadWriteCloser, error)
	Cluster    string
	Self       string          // this server
	Generation func() uint64   // of the record this server acts in; nil: none
	Unmarked   bool            // allow that neither side has a marker
	Sync       bool            // what somebody waits for is on the replica's disk before it counts
	Through    func() bool     // when it says so a batch is done only when the replicas of this one have it too
	Deletes    *DeleteBudget   // nil: no limit
	Parts      Parts           // of a comparison of everything; zero: defaults
	Whole      func() bool     // says that the share itself is whole; if not, no replica of it is fit to succeed. nil: it always is
	Torn       func() bool     // says that a file of this server's own copy may be neither old nor new; nil: never
	Show       func(Step)      // when set, gets the steps instead of the replica
	Greeted    func()          // when set, is told that Standing may be another
	History    *change.History // of this server's copy; nil: everything is compared before a replica counts
	Log        zerolog.Logger

	busy      sync.Mutex // one call at a time
	session   *stream.Session
	marker    []byte // told in the greeting
	through   bool   // too
	compared  bool   // the replica is like the share but for what is told in this session
	roomAgain bool   // what was not tried in a batch for which there was no room is to be tried once more, without what took the room
	unsettled bool   // somebody may wait for what came with an older session
	journal   *journal
	position  *change.Position
	names     *names                  // of the share's files, for all its replicas
	foreseen  map[string]stream.Found // with sums, until something is done
	standing  atomic.Int32
	told      sync.Map // paths that were logged once
	moved     atomic.Int64
	lost      func() // see WhenLost
	lacks     *lacks // nil: an error of one path is one of all

	mu   sync.Mutex
	conn io.Closer          // of the session
	stop context.CancelFunc // of the call that is under way
}

// Progress counts frames, in both directions: a replica for which it stands still while it has work does not answer.
func (s *Stream) Progress() int64 { return s.moved.Load() }

func (s *Stream) progress() { s.moved.Add(1) }

// LeadsTo tells which position the next Apply or Part leads to; see Gradual.
func (s *Stream) LeadsTo(p change.Position) {
	s.busy.Lock()
	defer s.busy.Unlock()
	p.Complete = p.Complete && (s.Whole == nil || s.Whole())
	s.position = &p
}

// Apply deals with changes; see Transport. An error that only concerns files leaves the session alive. Everything is compared if the changes say so.
func (s *Stream) Apply(ctx context.Context, changes []change.Change) error {
	return s.call(ctx, func(ctx context.Context) error {
		if !asksForAll(changes) {
			return s.apply(ctx, changes)
		}
		position := s.position
		if err := s.apply(ctx, withoutAll(changes)); err != nil && !errors.As(err, new(Unfinished)) {
			return err
		}
		c := NewComparison(false)
		for c.Waited = true; !c.Done; {
			s.position = position
			if err := s.part(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// Held counts the deletes that are held back.
func (s *Stream) Held() int { return s.Deletes.Held() }

// Standing is what the replica said in its greeting, or has become since. It holds also while there is no session.
func (s *Stream) Standing() Standing { return Standing(s.standing.Load()) }

func (s *Stream) apply(ctx context.Context, changes []change.Change) error {
	position := s.position
	s.position = nil
	if err := s.check(ctx); err != nil {
		return err
	}
	if !s.compared { // what became of the replica since the last session is not known
		position = nil
		if s.lacks != nil { // the comparison that follows tells it
			s.lacks.positioned(true)
		}
	}
	if s.Show == nil {
		var err error
		if changes, err = s.mover().move(changes); err != nil {
			return err
		}
	}
	waited := changes // also for what a further round brings
	rounds := 0
	var large, deleted []string
	var problems []error
	for {
		g := s.gathering()
		g.problems = problems
		if err := g.gather(ctx, changes); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		g.looked = lookedAt(changes, slices.Concat(g.large, g.rest))
		if large = append(large, g.large...); len(large) > 0 {
			position = nil
			if s.lacks != nil { // the comparison that follows tells it
				s.lacks.positioned(true)
			}
		}
		if len(g.rest) > 0 { // what is deleted here may have moved to there
			deleted = append(deleted, g.withoutDeletes()...)
		}
		now, leadsTo := waited, position
		if len(g.rest)+len(deleted) > 0 { // what follows makes this durable, too, and leads to the position
			now, leadsTo = nil, nil
		}
		s.roomAgain = rounds == 0
		_, err := s.make(ctx, g, now, leadsTo)
		s.roomAgain = false
		problems = g.problems
		if changes = all(change.Rescan, g.rest); len(g.rest) == 0 {
			changes, deleted = all(change.Look, deleted), nil
		}
		if again := (vanishedName{}); errors.As(err, &again) && rounds < maxRounds {
			rounds++
			changes = append(changes, again.looks()...)
			if again.full { // something is lacked
				position = nil
			}
			continue
		}
		switch {
		case err != nil:
			return err
		case len(changes) > 0:
		case len(problems) > 0:
			return g.err()
		case len(large) > 0:
			return Unfinished{large}
		default:
			return nil
		}
	}
}

// all are changes of one kind.
func all(kind change.Kind, paths []string) []change.Change {
	var changes []change.Change
	for _, path := range paths {
		changes = append(changes, change.Change{Kind: kind, Path: path})
	}
	return changes
}

// lacking is what this replica lacks; nil if that is not kept.
func (s *Stream) lacking() *lacks { return s.lacks }

// maxRounds is how often a batch is completed because a file lost, between look and copy, the name that others waited for.
const maxRounds = 5

// vanishedName is a file of several names that lost the one it was to be read by; the others still wait. Or they are what was not tried for want of room (full).
type vanishedName struct {
	others []string
	full   bool
}

func (v vanishedName) Error() string { return ErrVanished.Error() }
func (v vanishedName) Unwrap() error { return ErrVanished }

func (v vanishedName) looks() []change.Change { return all(change.Look, v.others) }

func (s *Stream) gathering() *far {
	g := &gathering{share: s.Share, journal: s.journal, same: s.same, left: s.left, progress: s.progress, incomplete: map[string]bool{}}
	if s.lacks != nil && s.session.Names() {
		g.lacking, g.kept = map[string]failure{}, map[string]bool{}
	}
	return &far{session: s.session, gathering: g, foresee: s.foresee, weighs: s.Deletes.counts(), limits: cmp.Or(s.Parts, defaultParts)}
}

// make makes the replica like the share at the pairs, and has the position noted if all of it succeeds. It returns how many bytes of content
// were sent. What the changes are waited for is durable then. What only some paths cost is in the replica's lacks.
func (s *Stream) make(ctx context.Context, g *far, changes []change.Change, position *change.Position) (int64, error) {
	clear(s.foreseen)
	steps := Plan(g.pairs, g.fidelity, g.incomplete)
	if s.Show != nil {
		for _, step := range steps {
			s.Show(step)
		}
		return 0, nil
	}
	for _, step := range steps {
		s.Log.Debug().Stringer("step", step).Send()
	}
	deletes := g.deletes()
	steps = s.Deletes.hold(steps, deletes, max(s.names.files(), deletes))
	if count(steps, Delete) > 0 { // what the deletes rest on must still be so
		if err := s.Share.StillThere(); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrShareGone, err)
		}
	}
	if len(g.problems) > 0 {
		position = nil // what could not be read is not on the replica
	}
	if position != nil && (len(g.lacking) > 0 || s.lacks != nil && s.lacks.any() || s.Deletes.Held() > 0 || !s.session.Histories()) {
		position.Exact = false
	}
	if s.lacks != nil && position != nil && (s.lacks.missing() || g.unknownToReplica()) {
		s.lacks.positioned(false)
		position = nil
	}
	durable := s.durable(changes)
	if len(steps) == 0 && position == nil && len(durable) == 0 {
		g.dealt(s.lacks, nil, s.Log)
		return 0, nil
	}
	sent, err := s.send(steps, durable, position)
	if err == nil || errors.As(err, new(vanishedName)) {
		g.dealt(s.lacks, sent.lacking, s.Log)
	}
	return sent.bytes, err
}

// durableBytes is how much is named in one batch; it fits into a frame.
const durableBytes = 512 << 10

// durable are the paths that somebody waits for; ".": everything.
func (s *Stream) durable(changes []change.Change) []string {
	if !s.Sync {
		return nil
	}
	if s.unsettled {
		return []string{"."}
	}
	var paths []string
	bytes := 0
	for _, c := range changes {
		switch {
		case c.Kind == change.Barrier, c.Waited && c.Kind == change.Rescan:
			return []string{"."}
		case c.Waited:
			paths = append(paths, c.Path)
			bytes += len(c.Path)
		}
	}
	if bytes > durableBytes {
		return []string{"."}
	}
	return paths
}

// outcome is what became of a batch.
type outcome struct {
	bytes   int64 // of content
	lacking map[string]failure
}

// send sends steps as one batch and waits until they are done, and what is to be durable is.
func (s *Stream) send(steps []Step, durable []string, position *change.Position) (outcome, error) {
	batch, err := s.session.Begin(durable...)
	if err != nil {
		return outcome{}, err
	}
	sent := sending{share: s.Share, journal: s.journal, batch: batch, durable: durable, progress: s.progress, torn: s.Torn, unsent: map[string]bool{}}
	if err := sent.all(steps); err != nil {
		return outcome{bytes: sent.bytes}, err
	}
	if len(sent.unread) > 0 || len(sent.waiting) > 0 {
		s.unpositioned(position)
		position = nil
	}
	result, err := batch.End(position)
	if err != nil {
		return outcome{bytes: sent.bytes}, err
	}
	sent.noted(result)
	s.unsettled = s.unsettled && result.Count > 0
	done := outcome{bytes: sent.bytes}
	if s.lacks != nil && s.session.Names() {
		done.lacking, err = s.blame(sent, result)
	} else {
		err = sent.err(result)
	}
	if err == nil && len(sent.waiting) > 0 {
		err = vanishedName{others: sent.waiting}
	}
	switch {
	case err == nil && position != nil && result.Count == 0:
		s.positioned(position)
	case result.Count > 0:
		s.unpositioned(position)
	}
	return done, err
}

func (s *Stream) positioned(p *change.Position) {
	if p.Complete {
		s.standing.Store(int32(Whole))
	}
	if s.lacks != nil {
		s.lacks.positioned(true)
	}
}

func (s *Stream) unpositioned(p *change.Position) {
	if p != nil && s.lacks != nil {
		s.lacks.positioned(false)
	}
}

func (s *Stream) mover() mover {
	look := func(path, from string) (at, origin *change.Entry, err error) {
		found, err := s.session.Look([]string{path, from}, false)
		if err != nil {
			return nil, nil, err
		}
		if err := errors.Join(found[0].Err(), found[1].Err()); err != nil && s.lacks == nil {
			return nil, nil, err
		} else if err != nil { // what cannot be looked at is not moved
			return nil, nil, nil
		}
		return found[0].Entry, found[1].Entry, nil
	}
	rename := func(from, to string) (bool, error) {
		clear(s.foreseen)
		moved, err := s.session.Move(from, to)
		if s.lacks != nil && errors.As(err, new(stream.Problem)) { // then it is copied, and the old one deleted
			s.Log.Debug().Err(err).Str("from", from).Str("to", to).Msg("the replica does not move it")
			return false, nil
		}
		return moved, err
	}
	return mover{s.Share, s.journal, look, rename, s.Log}
}

// same compares the content of a file on both sides by its hash.
func (s *Stream) same(path string) (bool, error) {
	if f, known := s.foreseen[path]; known {
		return sameSum(s.Share, f)
	}
	found, err := s.session.Look([]string{path}, true)
	if err != nil {
		return false, err
	}
	return sameSum(s.Share, found[0])
}

func sameSum(share *tree.Root, f stream.Found) (bool, error) {
	if f.Sum == nil {
		return false, f.Err()
	}
	ours, err := stream.SumOf(share, f.Path)
	return err == nil && *ours == *f.Sum, err
}

func (s *Stream) left(path, reason string) {
	if _, told := s.told.LoadOrStore(reason+" "+path, true); !told {
		s.Log.Warn().Str("path", path).Msg("not replicated: " + reason)
	}
}
