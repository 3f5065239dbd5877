package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
	"hafs/lib/stream"
)

// Stream is a replica that a receiver of package stream keeps, at the other end of one stream of bytes. It costs one or two round trips a
// batch, whatever is in it, and holds everything the share has.
type Stream struct {
	Share *tree.Root
	// Open makes a new stream to the receiver. Close of what it returns must end a Read and a Write that hang.
	Open       func(context.Context) (io.ReadWriteCloser, error)
	Cluster    string
	Self       string        // this server
	Generation func() uint64 // of the record this server acts in; nil: none
	Unmarked   bool          // allow that neither side has a marker
	Sync       bool          // sync files before they get their names, unless there are more than syncFiles at once
	Show       func(Step)    // when set, gets the steps instead of the replica
	Log        zerolog.Logger

	busy     sync.Mutex // one call at a time
	session  *stream.Session
	marker   []byte // told in the greeting
	compared bool   // everything was compared in this session
	journal  *journal
	position *stream.Position
	told     sync.Map // paths that were logged once
	moved    atomic.Int64

	mu   sync.Mutex
	conn io.Closer          // of the session
	stop context.CancelFunc // of the call that is under way
}

// Progress counts frames, in both directions: a replica for which it stands still while it has work does not answer.
func (s *Stream) Progress() int64 { return s.moved.Load() }

func (s *Stream) progress() { s.moved.Add(1) }

// LeadsTo tells which position the next Apply leads to; see Numbered.
func (s *Stream) LeadsTo(p stream.Position) {
	s.busy.Lock()
	defer s.busy.Unlock()
	s.position = &p
}

// Apply deals with changes; see Transport. An error that only concerns files leaves the session alive.
func (s *Stream) Apply(ctx context.Context, changes []change.Change) error {
	return s.call(ctx, func(ctx context.Context) error { return s.apply(ctx, changes) })
}

// call does something that Close, or the end of the context, interrupts by closing the stream.
func (s *Stream) call(ctx context.Context, do func(context.Context) error) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.stop = stop
	s.mu.Unlock()
	hungUp := make(chan struct{})
	spare := context.AfterFunc(ctx, func() { defer close(hungUp); s.hangUp() })
	err := do(ctx)
	if !spare() { // or it might close the stream of the next call
		<-hungUp
	}
	if s.session != nil && (s.session.Err() != nil || ctx.Err() != nil) {
		s.drop()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused stream.Refusal
	if errors.As(err, &refused) {
		return Refusal{"the receiver refuses: " + refused.Reason}
	}
	return err
}

func (s *Stream) hangUp() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// Close gives up the replica, also while a call hangs: that ends then.
func (s *Stream) Close() {
	s.mu.Lock()
	if s.stop != nil {
		s.stop()
	}
	s.mu.Unlock()
	leave := func() {
		defer s.busy.Unlock()
		s.drop()
	}
	if s.busy.TryLock() {
		leave()
	} else {
		go func() { s.busy.Lock(); leave() }()
	}
}

func (s *Stream) drop() {
	if s.session != nil {
		_ = s.session.Close()
	}
	s.mu.Lock()
	s.conn = nil
	s.mu.Unlock()
	s.session, s.journal, s.compared = nil, nil, false
}

// check makes sure that the share is what it should be, and that there is a session; the receiver checks the replica.
func (s *Stream) check(ctx context.Context) error {
	if err := s.Share.StillThere(); err != nil {
		return fmt.Errorf("%w: %w", ErrShareGone, err)
	}
	marker, err := s.Share.Marker()
	if err != nil {
		return fmt.Errorf("read the share's marker: %w", err)
	}
	if err := CheckMarkers(marker, marker, s.Unmarked); err != nil {
		return err
	}
	if s.session != nil && bytes.Equal(marker, s.marker) {
		return nil
	}
	s.drop()
	return s.open(ctx, marker)
}

func (s *Stream) open(ctx context.Context, marker []byte) error {
	conn, err := s.Open(ctx)
	if err != nil {
		return fmt.Errorf("open a stream: %w", err)
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	if ctx.Err() != nil { // it ended before it was known what to close
		conn.Close()
	}
	h := stream.Hello{Cluster: s.Cluster, Name: s.Self, Marker: marker, Unmarked: s.Unmarked}
	if s.Generation != nil {
		h.Generation = s.Generation()
	}
	session, err := stream.Open(conn, h, s.progress)
	if err != nil {
		return fmt.Errorf("greet the receiver: %w", err)
	}
	s.session, s.marker, s.journal = session, marker, newJournal()
	return nil
}

func (s *Stream) apply(ctx context.Context, changes []change.Change) error {
	position := s.position
	s.position = nil
	if err := s.check(ctx); err != nil {
		return err
	}
	if !s.compared && !whole(changes) && s.Show == nil { // nobody knows what became of the replica since the last session
		changes = append(slices.Clip(changes), change.Change{Kind: change.Rescan, Path: "."})
	}
	g := &far{session: s.session, gathering: &gathering{
		share: s.Share, journal: s.journal, same: s.same, special: s.special, progress: s.progress, incomplete: map[string]bool{},
	}}
	if whole(changes) {
		g.visited = map[string]struct{}{}
	}
	if s.Show == nil {
		if err := s.mover().move(changes); err != nil {
			return err
		}
	}
	if err := g.gather(ctx, changes); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	steps := Plan(g.pairs, g.fidelity, g.incomplete)
	if s.Show != nil {
		for _, step := range steps {
			s.Show(step)
		}
		return g.err()
	}
	for _, step := range steps {
		s.Log.Debug().Stringer("step", step).Send()
	}
	if count(steps, Delete) > 0 { // what the deletes rest on must still be so
		if err := s.Share.StillThere(); err != nil {
			return fmt.Errorf("%w: %w", ErrShareGone, err)
		}
	}
	if position != nil {
		position.Complete = position.Complete && (s.compared || whole(changes))
	}
	if g.err() != nil {
		position = nil // what could not be read is not on the replica
	}
	if len(steps) > 0 || position != nil {
		if err := s.send(steps, position); err != nil {
			return err
		}
	}
	if err := g.err(); err != nil {
		return err
	}
	if g.visited != nil {
		s.journal.retain(g.visited)
		s.compared = true
	}
	return nil
}

// send sends steps as one batch and waits until they are done.
func (s *Stream) send(steps []Step, position *stream.Position) error {
	batch, err := s.session.Begin(s.Sync && count(steps, Write) <= syncFiles)
	if err != nil {
		return err
	}
	sent := sending{share: s.Share, journal: s.journal, batch: batch, progress: s.progress, unsent: map[string]bool{}}
	if err := sent.all(steps); err != nil {
		return err
	}
	if len(sent.problems) > 0 {
		position = nil
	}
	result, err := batch.End(position)
	if err != nil {
		return err
	}
	sent.noted(result)
	err = summary(append(result.Errs(), sent.problems...))
	if result.Full {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func (s *Stream) mover() mover {
	look := func(path, from string) (at, origin *change.Entry, err error) {
		found, err := s.session.Look([]string{path, from}, false)
		if err != nil {
			return nil, nil, err
		}
		return found[0].Entry, found[1].Entry, errors.Join(found[0].Err(), found[1].Err())
	}
	return mover{s.Share, s.journal, look, s.session.Move, s.Log}
}

// same compares the content of a file on both sides by its hash.
func (s *Stream) same(path string) (bool, error) {
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

func (s *Stream) special(path string) {
	if _, told := s.told.LoadOrStore("special "+path, true); !told {
		s.Log.Warn().Str("path", path).Msg("not replicated: a FIFO, socket or device")
	}
}
