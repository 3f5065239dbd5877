package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"hafs/lib/replication/change"
)

// Session is the sender's side of a stream. One call at a time; only Close and Ended may be called at any moment. After an error of a call (other
// than a Problem) the session is over.
type Session struct {
	conn     io.ReadWriteCloser
	out      *bufio.Writer
	frames   chan frame    // what arrived; closed with the stream
	ended    chan struct{} // closed after frames
	closed   chan struct{} // Close was called
	once     sync.Once
	readErr  error // valid when frames is closed
	err      error
	full     bool // the receiver said in this batch that it has no room
	welcome  Welcome
	progress func()
	scratch  []byte
}

// Refusal is the receiver's reason to end the session.
type Refusal struct{ Reason string }

func (r Refusal) Error() string { return r.Reason }

// ErrEnded means that the stream ended.
var ErrEnded = errors.New("the stream to the replica ended")

const (
	bufferBytes = 64 << 10
	// lastWords is how long to wait for the reason when the receiver takes nothing any more.
	lastWords = time.Second
)

// Open says hello on a fresh stream, which the session owns from now on. progress, which may be nil, is called for every frame.
func Open(conn io.ReadWriteCloser, h Hello, progress func()) (*Session, error) {
	if progress == nil {
		progress = func() {}
	}
	s := &Session{
		conn: conn, out: bufio.NewWriterSize(conn, bufferBytes), frames: make(chan frame, 1), progress: progress,
		ended: make(chan struct{}), closed: make(chan struct{}),
	}
	go s.read()
	if err := s.greet(h); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Session) greet(h Hello) error {
	if err := s.send(kindHello, appendHello(nil, h)); err != nil {
		return err
	}
	f, err := s.answer(kindWelcome)
	if err != nil {
		return err
	}
	s.welcome, err = cutWelcome(f.body)
	if cluster := s.welcome.Cluster; err == nil && cluster != h.Cluster {
		err = Refusal{fmt.Sprintf("the replica is of cluster %q, the share of %q", cluster, h.Cluster)}
	}
	return err
}

// Names says whether the receiver tells which steps its problems are of.
func (s *Session) Names() bool { return s.welcome.Version >= 4 }

// Histories says whether the receiver tells what was done to the replica lately.
func (s *Session) Histories() bool { return s.welcome.Version >= 5 }

// Position is what the replica had when the session began.
func (s *Session) Position() change.Position { return s.welcome.Position }

// Close ends the session, also under a call that hangs, if the stream's Close ends its Read and Write.
func (s *Session) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		err = s.conn.Close()
	})
	return err
}

// Ended is closed when the stream has ended, whoever ended it, also while there is no call that would notice.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Err says why the session is over, once a call has noticed; nil before.
func (s *Session) Err() error { return s.err }

func (s *Session) read() {
	defer close(s.ended)
	defer close(s.frames)
	in := bufio.NewReaderSize(s.conn, bufferBytes)
	for {
		f, err := readFrame(in)
		if err != nil {
			s.readErr = err
			return
		}
		s.progress()
		select {
		case s.frames <- f:
		case <-s.closed:
			return
		}
	}
}

func (s *Session) fail(err error) error {
	if s.err == nil {
		s.err = err
	}
	return s.err
}

func (s *Session) write(k kind, body ...[]byte) error {
	if s.err != nil {
		return s.err
	}
	s.progress()
	s.scratch = appendFrame(s.scratch[:0], k, body...)
	if _, err := s.out.Write(s.scratch); err != nil {
		return s.fail(s.reason(err))
	}
	return nil
}

func (s *Session) flush() error {
	if s.err != nil {
		return s.err
	}
	if err := s.out.Flush(); err != nil {
		return s.fail(s.reason(err))
	}
	return nil
}

func (s *Session) send(k kind, body ...[]byte) error {
	if err := s.write(k, body...); err != nil {
		return err
	}
	return s.flush()
}

// reason finds out why nothing can be written: the receiver may have said it before it closed the stream.
func (s *Session) reason(err error) error {
	late := time.NewTimer(lastWords)
	defer late.Stop()
	for {
		select {
		case f, ok := <-s.frames:
			if ok && f.kind == kindRefusal {
				return Refusal{refusalText(f.body)}
			}
			if !ok {
				return fmt.Errorf("%w: %w", ErrEnded, err)
			}
		case <-late.C:
			return fmt.Errorf("%w: %w", ErrEnded, err)
		}
	}
}

func refusalText(body []byte) string {
	c := cutter{rest: body}
	return c.text()
}

// answer waits for a frame of one kind.
func (s *Session) answer(want kind) (frame, error) {
	for s.err == nil {
		f, ok := <-s.frames
		switch {
		case !ok && (s.readErr == nil || errors.Is(s.readErr, io.EOF)):
			_ = s.fail(ErrEnded)
		case !ok:
			_ = s.fail(fmt.Errorf("%w: %w", ErrEnded, s.readErr))
		case f.kind == want:
			return f, nil
		case f.kind == kindRefusal:
			_ = s.fail(Refusal{refusalText(f.body)})
		case f.kind == kindFull: // it comes before a result
			s.full = true
		case f.kind == kindBusy: // its coming is all it says
		default:
			_ = s.fail(fmt.Errorf("%w: kind %d instead of %d", ErrFrame, f.kind, want))
		}
	}
	return frame{}, s.err
}

// maxAsk bounds the paths in one request.
const maxAsk = 256 << 10

// Look asks what the replica has at paths. The answers have the order of the paths.
func (s *Session) Look(paths []string, sums bool) ([]Found, error) {
	found := make([]Found, 0, len(paths))
	for len(found) < len(paths) {
		bytes, n := 0, 0
		asked := paths[len(found):]
		for n < len(asked) && bytes < maxAsk {
			bytes += len(asked[n]) + 2
			n++
		}
		asked = asked[:n]
		for f, err := range s.found(kindLook, appendPaths(nil, sums, asked), nil) {
			if err != nil {
				return nil, err
			}
			if len(asked) == 0 || f.Path != asked[0] {
				return nil, s.fail(fmt.Errorf("%w: %q was not asked for", ErrFrame, f.Path))
			}
			asked = asked[1:]
			found = append(found, f)
		}
		if len(asked) > 0 {
			return nil, s.fail(fmt.Errorf("%w: no answer for %q", ErrFrame, asked[0]))
		}
	}
	return found, nil
}

// List lists what is below a directory of the replica, in the order of Compare. The listing must be read to its end; one that stops with an
// error is not complete. more, when given, is told at the end whether the limit cut it short.
func (s *Session) List(l Listing, more *bool) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		before := ""
		for f, err := range s.found(kindList, appendListing(nil, l), more) {
			if err == nil && before != "" {
				if c := Compare(before, f.Path); c > 0 || c == 0 && f.Problem == nil {
					err = s.fail(errOrder)
				}
			}
			before = f.Path
			if !yield(f, err) {
				_ = s.fail(errors.New("a listing was not read to its end"))
				return
			}
			if err != nil {
				return
			}
		}
	}
}

func (s *Session) found(k kind, question []byte, more *bool) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		err := s.send(k, question)
		for after := restFollows; err == nil && after == restFollows; {
			var f frame
			if f, err = s.answer(kindEntries); err != nil {
				break
			}
			var found []Found
			if found, after, err = cutEntries(f.body); err != nil {
				_ = s.fail(err)
				break
			}
			if more != nil {
				*more = after == restUnsaid
			}
			for _, one := range found {
				if !yield(one, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(Found{}, err)
		}
	}
}

// Since asks what was done to the replica since it was exactly at a position, or at an older one, from. It answers false when that is not known.
func (s *Session) Since(p change.Position) (done []change.Change, from change.Position, known bool, err error) {
	if err := s.send(kindSince, appendPosition(nil, &p)); err != nil {
		return nil, from, false, err
	}
	f, err := s.answer(kindHistory)
	if err != nil {
		return nil, from, false, err
	}
	h, err := cutHistory(f.body)
	if err != nil {
		return nil, from, false, s.fail(err)
	}
	return h.done, h.from, h.known, nil
}

// Move renames something on the replica, if both directories are there. A Problem leaves the session alive.
func (s *Session) Move(from, to string) (bool, error) {
	if err := s.send(kindMove, appendStep(nil, Step{Path: to, From: from})); err != nil {
		return false, err
	}
	f, err := s.answer(kindMoved)
	if err != nil {
		return false, err
	}
	c := cutter{rest: f.body}
	moved, failed := c.bool(), c.bool()
	p := c.problem()
	if err := c.end(); err != nil {
		return false, s.fail(err)
	}
	if failed {
		return false, p
	}
	return moved, nil
}
