package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"hafs/lib/replication/stream"
)

// The session of a Stream: who uses it, and how it begins and ends.

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
		if err == nil && ctx.Err() == nil && s.lost != nil { // nobody else says so
			s.lost()
		}
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

// WhenLost names what is told that a session ended and no Apply or Part has said so. It is told before any other call begins, and must make none.
func (s *Stream) WhenLost(lost func()) { s.lost = lost }

// watch waits for the end of a session. One that this side ended, or whose end a call has noticed, is not there any more then.
func (s *Stream) watch(session *stream.Session) {
	<-session.Ended()
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.session == session {
		s.drop()
		s.lost()
	}
}

// missed tells of the end of a session in a call that has noticed it.
func (s *Stream) missed(session *stream.Session) {
	if session != nil && s.lost != nil && (s.session != session || session.Err() != nil) {
		s.lost()
	}
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
	s.session, s.journal, s.compared, s.unsettled, s.foreseen = nil, nil, false, false, nil
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
	through := s.Through != nil && s.Through()
	if s.session != nil && bytes.Equal(marker, s.marker) && through == s.through {
		return nil
	}
	if s.session != nil { // whoever counts on what was compared in it must hear of that
		s.drop()
		return errAnew
	}
	s.through = through
	return s.open(ctx, marker)
}

// errAnew means that what was agreed in the greeting holds no more: a new session begins, with a comparison of everything.
var errAnew = errors.New("the share's marker, or who waits for the replicas of this one, has changed: the session begins anew")

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
	h := stream.Hello{Cluster: s.Cluster, Name: s.Self, Marker: marker, Unmarked: s.Unmarked, Through: s.through}
	if s.Generation != nil {
		h.Generation = s.Generation()
	}
	session, err := stream.Open(conn, h, s.progress)
	if err != nil {
		return fmt.Errorf("greet the receiver: %w", err)
	}
	if s.names == nil {
		s.names = newNames()
	}
	s.session, s.marker, s.journal = session, marker, newRecentJournal(s.names)
	s.standing.Store(int32(Unfilled))
	if session.Position().Complete {
		s.standing.Store(int32(Whole))
	}
	if s.Greeted != nil {
		s.Greeted()
	}
	if s.lost != nil {
		go s.watch(session)
	}
	return nil
}
