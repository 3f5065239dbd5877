package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Receiver carries out on a replica what senders tell it.
type Receiver struct {
	Path    string // of the replica
	Cluster string
	// Allowed, when set, is asked whether a sender may go on: before each batch or move, and before a batch is answered. An error ends the session.
	Allowed func(from string) error
	// Note, when set, is told the position that a batch led to, after all of it was done. Position, when set, gives the one that was noted last.
	Note     func(change.Position) error
	Position func() change.Position
	// Passed, when set, is told what a batch or a move changed, before that is answered. through: it returns only when the replicas of this one have
	// it too; an error with a syscall.Errno is then one of the steps, any other one ends the session.
	Passed func(ctx context.Context, paths []string, through bool) error
	// History, when set, is told of everything before it is done here. Whoever notes positions tells it of these.
	History *change.History
	// KeepDeleted is how long what is deleted is kept in a tree.Trash, 0: not at all; TrashDirectory is where that is, outside of the replica.
	KeepDeleted    time.Duration
	TrashDirectory string
	// Redo is a file, outside of the replica and not there as a rule, for a large file that is changed in place. Empty: such files are made anew.
	Redo    string
	Before  func(step string) error // of tree.Root, for tests
	Workers int                     // small files written side by side; 0: DefaultWorkers
	Log     zerolog.Logger

	mu       sync.Mutex
	current  *serving
	partials map[string]bool // paths of large files that have not arrived in full
	unsynced unsynced
	told     sync.Map // namespaces of attributes that are not taken
}

// DefaultWorkers is how many syncs may be under way at once: the file system makes them one.
const DefaultWorkers = 8

// serving is one session.
type serving struct {
	*Receiver
	from    string
	conn    io.ReadWriteCloser
	in      *bufio.Reader
	out     *bufio.Writer
	ended   chan struct{}
	root    *tree.Root
	trash   *tree.Trash
	hello   Hello
	marker  *change.Entry // when its bytes were read
	hashed  *change.Entry // the file whose blocks were told last
	path    string        // of that file
	partial bool          // it is what arrived of it
	names   Names         // of the directory that was listed last
	ctx     context.Context
	writing sync.Mutex // of out: that the receiver is busy is said from aside
}

// Serve serves one sender, whose name was proved by whoever handed the stream over, until the stream or the context ends. A session that is still there is ended first: what is left of it in the
// stream must not be done after the new one has looked. Without an error the stream ended between two requests.
func (r *Receiver) Serve(ctx context.Context, from string, conn io.ReadWriteCloser) error {
	s := &serving{
		Receiver: r, from: from, conn: conn, in: bufio.NewReaderSize(conn, bufferBytes), out: bufio.NewWriterSize(conn, bufferBytes), ended: make(chan struct{}),
	}
	defer close(s.ended)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err := s.serve(ctx)
	if s.root != nil {
		s.trash.Close()
		s.root.Close()
	}
	if errors.Is(err, io.EOF) {
		return ctx.Err()
	}
	var lost *lostStream
	if !errors.As(err, &lost) {
		_ = s.reply(kindRefusal, appendText(nil, err.Error()))
	}
	return err
}

// lostStream is an error of the stream itself: nobody is there to be told.
type lostStream struct{ error }

func (l *lostStream) Unwrap() error { return l.error }

// takeOver ends the session before this one and waits until it does nothing more.
func (s *serving) takeOver(ctx context.Context) error {
	s.mu.Lock()
	before := s.current
	s.current = s
	s.mu.Unlock()
	return before.end(ctx)
}

// End ends the session that there is, and waits until it does nothing more. From a sender that is not Allowed any more nothing is taken afterwards. What
// has arrived of files in part is removed.
func (r *Receiver) End(ctx context.Context) error {
	r.mu.Lock()
	current := r.current
	r.mu.Unlock()
	if err := current.end(ctx); err != nil {
		return err
	}
	return r.removePartials()
}

// end ends a session, if there is one, and waits until it does nothing more.
func (s *serving) end(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.conn.Close()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *serving) serve(ctx context.Context) error {
	s.ctx = ctx
	if err := s.greet(ctx); err != nil {
		return err
	}
	go s.watch()
	for {
		f, err := s.next()
		if err != nil {
			return err
		}
		if err := s.handle(f); err != nil {
			return err
		}
	}
}

// watchEvery is how soon it is seen, while nothing is sent, that the replica is not where it was.
const watchEvery = time.Second

// watch ends the session when its replica is gone from its place, or when the sender is not Allowed any more: it must hear of that also when nothing changes.
// It blocks when the disk hangs.
func (s *serving) watch() {
	again := time.NewTicker(watchEvery)
	defer again.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-again.C:
		}
		err := s.root.StillThere()
		if !errors.Is(err, tree.ErrMoved) {
			err = s.allowed()
		}
		if err != nil {
			s.Log.Warn().Err(err).Str("from", s.from).Str("replica", s.Path).Msg("the session ends")
			s.conn.Close()
			return
		}
	}
}

func (s *serving) next() (frame, error) {
	f, err := readFrame(s.in)
	return f, s.broken(err)
}

// broken says of an error of reading whether it is one of the stream itself.
func (s *serving) broken(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrFrame) {
		err = &lostStream{err}
	}
	return err
}

func (s *serving) handle(f frame) error {
	switch f.kind {
	case kindLook, kindList, kindHashes, kindSince:
		if err := s.check(); err != nil {
			return err
		}
	case kindMove, kindBegin:
		if err := errors.Join(s.check(), s.allowed()); err != nil {
			return err
		}
	}
	switch f.kind {
	case kindLook:
		return s.look(f.body)
	case kindList:
		return s.list(f.body)
	case kindHashes:
		return s.hashes(f.body)
	case kindSince:
		return s.since(f.body)
	case kindMove:
		return s.move(f.body)
	case kindBegin:
		return s.batch(f.body)
	}
	return fmt.Errorf("%w: unexpected kind %d", ErrFrame, f.kind)
}

// greet makes sure who is there, before anything else is done for it.
func (s *serving) greet(ctx context.Context) error {
	f, err := s.next()
	if err != nil {
		return err
	}
	if f.kind != kindHello {
		return fmt.Errorf("%w: the first one is no greeting", ErrFrame)
	}
	if s.hello, err = cutHello(f.body); err != nil {
		return err
	}
	if s.hello.Cluster != s.Cluster {
		return fmt.Errorf("the share is of cluster %q, the replica of %q", s.hello.Cluster, s.Cluster)
	}
	if err := s.allowed(); err != nil {
		return err
	}
	if err := s.takeOver(ctx); err != nil {
		return err
	}
	if s.root, err = tree.Open(s.Path); err != nil {
		return fmt.Errorf("open replica: %w", err)
	}
	s.root.Before, s.root.Refused = s.Before, s.refused
	s.trash = tree.NewTrash(s.root, s.TrashDirectory)
	if err := lock(s.root); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if err := s.recover(); err != nil {
		return err
	}
	s.Log.Debug().Str("from", s.hello.Name).Uint64("generation", s.hello.Generation).Msg("stream")
	w := Welcome{Version: s.hello.Version, Cluster: s.Cluster}
	if s.Position != nil {
		w.Position = s.Position()
		if !w.Position.Complete { // others may have filled it meanwhile
			s.unsynced.lose()
		}
		w.Position.Exact = w.Position.Exact && w.Version >= 5
	}
	return s.reply(kindWelcome, appendWelcome(nil, w))
}

// refused tells once of each kind of extended attribute that the replica's file system does not take.
func (s *serving) refused(attribute string, err error) {
	namespace, _, _ := strings.Cut(attribute, ".")
	if _, told := s.told.LoadOrStore(namespace, true); !told {
		s.Log.Error().Err(err).Str("attribute", attribute).Str("replica", s.Path).Msg("this replica does not take extended attributes like this one: files are without them")
	}
}

const (
	lockWait  = 2 * time.Second
	lockEvery = 5 * time.Millisecond
)

// lock makes sure that no other process works on the replica for a stream: one that lost its sender ends soon.
func lock(root *tree.Root) error {
	for deadline := time.Now().Add(lockWait); ; time.Sleep(lockEvery) {
		err := unix.Flock(root.Descriptor(), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR || time.Now().After(deadline) {
			return fmt.Errorf("another session still works on %s: %w", root.Name, err)
		}
	}
}

// check makes sure that the replica is still the one that was greeted for.
func (s *serving) check() error {
	if err := s.root.StillThere(); err != nil {
		return err
	}
	e, err := s.root.Lstat(change.Marker)
	if err != nil {
		return err
	}
	if c := s.marker; c != nil && e != nil && e.Kind == c.Kind && e.Size == c.Size && e.Mtime == c.Mtime && e.Ctime == c.Ctime && e.Ino == c.Ino {
		return nil
	}
	replica, err := s.root.Marker()
	if err != nil {
		return fmt.Errorf("read the replica's marker: %w", err)
	}
	if replica == nil && s.hello.Marker == nil && s.hello.Unmarked {
		return nil
	}
	switch {
	case s.hello.Marker == nil:
		return fmt.Errorf("the share has no marker %s", change.Marker)
	case replica == nil:
		return fmt.Errorf("%s: the replica has no marker %s: it is not mounted, or it was never prepared", s.Path, change.Marker)
	case !bytes.Equal(replica, s.hello.Marker):
		return fmt.Errorf("%s: the replica's marker says %q, the share's %q", s.Path, replica, s.hello.Marker)
	}
	s.marker = e
	return nil
}

func (s *serving) allowed() error {
	if s.Allowed == nil {
		return nil
	}
	return s.Allowed(s.from)
}

func (s *serving) passed(paths []string) error {
	if s.Passed == nil || len(paths) == 0 {
		return nil
	}
	if err := s.Passed(s.ctx, paths, s.hello.Through); err != nil {
		return fmt.Errorf("pass it on: %w", err)
	}
	return nil
}

func (s *serving) send(k kind, body ...[]byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.out.Write(appendFrame(nil, k, body...)); err != nil {
		return &lostStream{err}
	}
	return nil
}

func (s *serving) reply(k kind, body ...[]byte) error {
	err := s.send(k, body...)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		return &lostStream{err}
	}
	return nil
}
