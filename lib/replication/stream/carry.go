package stream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// carrying is a batch that is being carried out. Small files are written side by side; before any other step they are waited for.
type carrying struct {
	*serving
	wanted map[string]bool // paths that are to be on the disk before the answer; ".": all
	steps  int
	paths  []string        // that steps were about
	loose  map[string]bool // of these, what is not on the disk yet even if it was wanted there; deletes are only in the directory
	many   atomic.Bool     // there are more steps than are synced one by one
	ended  bool            // what it brought is synced, or known to be unsynced
	asked  time.Time       // when it was last made sure that the batch may go on
	places chan struct{}
	done   sync.WaitGroup

	mu     sync.Mutex
	result Result
	broken map[string]bool // files that could not be written, as far as they have further names: those are not made
	lost   bool            // the file system does not answer: do nothing more
	moved  time.Time       // when a frame or a step was dealt with last
	told   bool            // that there is no room
}

func (s *serving) batch(body []byte) error {
	durable, _, err := cutPaths(body)
	if err != nil {
		return err
	}
	b := &carrying{serving: s, wanted: map[string]bool{}, loose: map[string]bool{}, asked: time.Now()}
	for _, path := range durable {
		b.wanted[path] = true
	}
	workers := s.Workers
	if workers == 0 {
		workers = DefaultWorkers
	}
	b.places = make(chan struct{}, workers)
	defer func() {
		b.done.Wait()
		if !b.ended {
			s.unsynced.add(b.paths)
		}
	}()
	b.moves()
	defer b.busy()()
	for {
		f, err := s.next()
		if err == io.EOF {
			err = &lostStream{io.ErrUnexpectedEOF}
		}
		b.moves()
		if err == nil {
			err = b.mayGoOn()
		}
		if err != nil {
			return err
		}
		switch {
		case f.kind == kindEnd:
			return b.end(f.body)
		case f.kind == kindHashes:
			b.done.Wait()
			err = s.hashes(f.body)
		case f.kind >= kindStep:
			err = b.step(Op(f.kind-kindStep), f.body)
		default:
			err = fmt.Errorf("%w: kind %d within a batch", ErrFrame, f.kind)
		}
		if err != nil {
			return err
		}
	}
}

// askEvery is how often a long batch makes sure that it may go on: filling a replica takes minutes.
const askEvery = 100 * time.Millisecond

func (b *carrying) mayGoOn() error {
	if time.Since(b.asked) < askEvery {
		return nil
	}
	b.asked = time.Now()
	return errors.Join(b.check(), b.allowed())
}

// waitedFor are the paths that the replicas of this one are to have: what the batch changed, and what somebody waits for, which an earlier batch may have changed
// without their getting it.
func (b *carrying) waitedFor() []string {
	if !b.hello.Through {
		return b.paths
	}
	return slices.AppendSeq(slices.Clip(b.paths), maps.Keys(b.wanted))
}

func (b *carrying) end(body []byte) error {
	b.done.Wait()
	position, err := cutPosition(body)
	if err != nil {
		return err
	}
	if err := b.syncWanted(); err != nil {
		b.result.fail(b.steps, err)
	} else {
		b.ended = true
	}
	if err := b.passed(b.waitedFor()); err != nil && b.hello.Version >= 4 && errors.As(err, new(syscall.Errno)) {
		b.result.fail(b.steps+Passing, err) // the replicas of this one do not take it
		for step := range b.steps {
			b.result.fail(step, err)
		}
	} else if err != nil {
		return err
	}
	if err := b.allowed(); err != nil {
		return err
	}
	if b.result.Count == 0 && position != nil && b.Note != nil {
		if err := b.Note(*position); err != nil {
			return fmt.Errorf("note the position: %w", err)
		}
	}
	return b.reply(kindResult, appendResult(nil, b.result, b.hello.Version))
}

// step does one step. Its error ends the session; that the step failed is part of the result.
func (b *carrying) step(op Op, body []byte) error {
	s, err := cutStep(body)
	if err == nil {
		err = s.check(op)
	}
	if err != nil {
		return err
	}
	number := b.steps
	b.steps++
	b.does(s.Path, op == OpDelete || s.Aside)
	b.brings(op, s.Path)
	if op == OpLink {
		b.done.Wait()
	}
	if b.stopped(op) || op == OpLink && b.broken[s.From] {
		b.mu.Lock()
		b.result.fail(number, nil)
		b.mu.Unlock()
		if op == OpWriteLarge {
			return b.skipContent()
		}
		return b.tell()
	}
	if op == OpWrite {
		b.places <- struct{}{}
		b.done.Go(func() {
			defer func() { <-b.places }()
			b.failed(number, s, b.write(s))
			b.moves()
		})
		return b.tell()
	}
	b.done.Wait()
	if op == OpWriteLarge {
		receive := b.writeLarge
		if s.InPlace && b.Redo != "" {
			receive = b.changeInPlace
		}
		err, lost := receive(s)
		if lost != nil {
			return lost
		}
		b.failed(number, s, err)
		return b.tell()
	}
	b.failed(number, s, b.carry(op, s))
	return b.tell()
}

// tell says at once that there is no room, so that no more content is sent.
func (b *carrying) tell() error {
	b.mu.Lock()
	full := b.result.Full && !b.told
	b.told = b.told || full
	b.mu.Unlock()
	if full {
		return b.reply(kindFull)
	}
	return nil
}

// stopped says whether a step is not even tried: without room, deletes and what follows them still are.
func (b *carrying) stopped(op Op) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost || b.result.Full && op < OpDelete
}

// failed notes what became of a step.
func (b *carrying) failed(number int, s Step, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		return
	}
	if s.Entry != nil && s.Entry.Nlink > 1 {
		if b.broken == nil {
			b.broken = map[string]bool{}
		}
		b.broken[s.Path] = true
	}
	b.result.fail(number, err)
	if tree.Full(err) && !b.result.Full {
		b.result.Full = true
		b.makeRoom()
	}
	b.lost = b.lost || tree.Lost(err) && !errors.Is(err, unix.EIO) // of a disk that is one file's
}

// carry does the steps that need no content.
func (b *carrying) carry(op Op, s Step) error {
	dir, name := change.Split(s.Path)
	to, err := b.root.Dir(dir)
	if tree.Absent(err) && (op == OpDelete || op == OpFinish) {
		return nil
	}
	if err != nil {
		return err
	}
	defer to.Close()
	switch op {
	case OpMakeDirectory:
		if s.Aside {
			if err := b.remove(to, name); err != nil {
				return err
			}
		}
		err := to.MakeDirectory(name)
		if e, _ := to.Lstat(name); errors.Is(err, fs.ErrExist) && e != nil && e.Kind == change.Directory {
			return nil // it came with a change between two parts of a comparison
		}
		return err
	case OpSymlink:
		temporary, err := to.MakeSymlink(s.Entry, false)
		if err != nil {
			return err
		}
		return to.Publish(temporary, name, s.Aside)
	case OpAttributes:
		return to.SetAttributes(name, s.Entry, nil, false)
	case OpLink:
		return b.link(to, name, s)
	case OpDelete:
		return b.remove(to, name)
	case OpFinish:
		have, err := to.Lstat(name)
		if err != nil || have == nil || have.Kind != change.Directory {
			return err
		}
		return to.SetAttributes(name, s.Entry, have, false)
	}
	return fmt.Errorf("no such step: %d", op)
}

// link makes another name for a file. A file system that cannot do that gets a copy.
func (b *carrying) link(to *tree.Dir, name string, s Step) error {
	dir, file := change.Split(s.From)
	from, err := b.root.Dir(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	temporary, err := to.MakeLink(from, file)
	if err != nil && tree.NoLinks(err) {
		b.Log.Warn().Err(err).Str("path", s.Path).Msg("this replica takes no hard links: each name gets a copy of its own")
		temporary, err = b.copy(to, from, file, s.Path)
	}
	if err != nil {
		return err
	}
	if err := to.Publish(temporary, name, s.Aside); err != nil {
		return err
	}
	to.Discard(temporary) // renaming one name of a file over another does nothing
	return nil
}

func (b *carrying) copy(to, from *tree.Dir, file, path string) (string, error) {
	source, err := from.OpenFile(file)
	if err != nil {
		return "", err
	}
	defer source.Close()
	e, err := tree.Stat(source)
	if err != nil {
		return "", err
	}
	return to.WriteTemporary(e.Mode, b.durable(path), func(f *os.File) (*change.Entry, error) {
		return e, tree.Copy(f, source)
	})
}
