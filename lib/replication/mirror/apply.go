package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// applying carries out steps on one replica.
type applying struct {
	share, replica *tree.Root
	fidelity       change.Fidelity
	journal        *journal
	limit          *limiter
	sync           bool
	noLinks        func(err error) // told that the replica cannot have hard links
	progress       func()

	mu       sync.Mutex
	problems []stepError
	failed   map[string]error // files that could not be written: no other name is made for what is there instead
	full     bool             // no room: write no more
	lost     bool             // the replica does not answer: stop
}

// carry does all steps, op after op, those of one op side by side. Files that cannot be written do not keep others from it, and a replica
// without room still gets its deletes.
func (a *applying) carry(ctx context.Context, steps []Step) error {
	for start := 0; start < len(steps); {
		end := start + 1
		for end < len(steps) && together(steps[start], steps[end]) {
			end++
		}
		a.phase(ctx, steps[start:end])
		start = end
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.err()
}

// together says whether two steps may be carried out at the same time.
func together(a, b Step) bool {
	if a.Op != b.Op {
		return false
	}
	return a.Op != MakeDirectory && a.Op != Finish || change.Depth(a.Path) == change.Depth(b.Path)
}

// phase divides steps among workers, each with a run of steps in one directory.
func (a *applying) phase(ctx context.Context, steps []Step) {
	for start := 0; start < len(steps); {
		dir := parent(steps[start].Path)
		end := start + 1
		for end < len(steps) && end-start < chunkSteps && parent(steps[end].Path) == dir {
			end++
		}
		chunk := steps[start:end]
		a.limit.run(func() { a.chunk(ctx, dir, chunk) })
		start = end
	}
	a.limit.wait()
}

// chunkSteps is how many steps in one directory one worker takes at once.
const chunkSteps = 8

func (a *applying) chunk(ctx context.Context, dir string, steps []Step) {
	to, err := a.replica.Dir(dir)
	if tree.Absent(err) && (steps[0].Op == Delete || steps[0].Op == Finish) {
		return
	}
	if tree.Absent(err) { // it was made in the share between two looks: there was none at it, and one at what is in it
		err = fmt.Errorf("%w: %w", ErrVanished, err)
	}
	if err == nil {
		defer to.Close()
	}
	for _, s := range steps {
		lost, full := a.stopped(s.Op)
		if lost || ctx.Err() != nil {
			return
		}
		a.progress()
		err := err
		switch {
		case err != nil:
		case full:
			err = errNoRoom
		default:
			err = a.step(to, s)
		}
		if err != nil {
			a.problem(s, err)
		}
	}
}

// stepError is why a step was not done.
type stepError struct {
	Step
	err error
}

// shareError is an error of the share's side.
type shareError struct{ error }

func (e shareError) Unwrap() error { return e.error }

func (a *applying) step(to *tree.Dir, s Step) error {
	_, name := change.Split(s.Path)
	switch s.Op {
	case MakeDirectory:
		if s.Replica != nil {
			if err := to.RemoveTree(name); err != nil {
				return err
			}
		}
		a.journal.drop(s.Path)
		if err := to.MakeDirectory(name); err != nil {
			return err
		}
		a.journal.directory(s.Path, s.Source)
		return nil
	case Write:
		return a.write(to, name, s)
	case MakeSymlink:
		temporary, err := to.MakeSymlink(s.Source, a.fidelity.PlainSymlinks)
		if err != nil {
			return err
		}
		if err := to.Publish(temporary, name, s.Aside()); err != nil {
			return err
		}
		a.journal.same(s.Path, s.Source)
		return nil
	case SetAttributes:
		if err := to.SetAttributes(name, s.Source, nil, a.fidelity.PlainSymlinks); err != nil {
			return err
		}
		if s.Source.Kind == change.File {
			a.journal.keep(s.Path, s.Source)
		}
		return nil
	case Link:
		if err := a.failed[s.From]; err != nil { // all writes were done before
			return err
		}
		return a.link(to, name, s)
	case Delete:
		return to.RemoveTree(name)
	case Finish:
		e, err := a.share.Lstat(s.Path)
		if err != nil {
			return shareError{err}
		}
		if e == nil || e.Kind != change.Directory {
			return nil
		}
		have, err := to.Lstat(name)
		if err != nil || have == nil || have.Kind != change.Directory {
			return err
		}
		return to.SetAttributes(name, e, have, false)
	}
	return fmt.Errorf("no such step: %d", s.Op)
}

func (a *applying) write(to *tree.Dir, name string, s Step) error {
	file, err := openSource(a.share, &s)
	if errors.Is(err, ErrVanished) && s.Source.Nlink < 2 {
		return nil // an event tells of it; else it has other names, which wait for it
	}
	if err != nil {
		return shareError{err}
	}
	defer file.Close()
	var copied *change.Entry
	var hash uint64
	temporary, err := to.WriteTemporary(s.Source.Mode, a.sync, func(into *os.File) (*change.Entry, error) {
		sink := &rewritable{File: into}
		if copied, hash, err = copyStable(file, sink, a.progress); err != nil && sink.err == nil {
			err = shareError{err}
		}
		return copied, err
	})
	if err != nil {
		return err
	}
	if err := to.Publish(temporary, name, s.Aside()); err != nil {
		return err
	}
	a.journal.written(s.Path, copied, hash, nil)
	return nil
}

// link makes another name for a file the replica has. A replica that cannot do that gets a copy.
func (a *applying) link(to *tree.Dir, name string, s Step) error {
	dir, file := change.Split(s.From)
	from, err := a.replica.Dir(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	temporary, err := to.MakeLink(from, file)
	if err != nil {
		if !tree.NoLinks(err) {
			return err
		}
		a.noLinks(err)
		return a.write(to, name, s)
	}
	if err := to.Publish(temporary, name, s.Aside()); err != nil {
		return err
	}
	to.Discard(temporary) // renaming one name of a file over another does nothing
	a.journal.linked(s.From, s.Path, s.Source)
	return nil
}

// lost says whether an error means that the replica does not answer any more. EIO may be one file's: sshfs says so when there is no room.
func lost(replica *tree.Root, err error) bool {
	return tree.Lost(err) && (!errors.Is(err, unix.EIO) || replica.StillThere() != nil)
}

func (a *applying) problem(s Step, err error) {
	ofShare := errors.As(err, new(shareError))
	lost := !ofShare && lost(a.replica, err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problems = append(a.problems, stepError{s, err})
	if s.Op == Write && s.Source.Nlink > 1 {
		if a.failed == nil {
			a.failed = map[string]error{}
		}
		a.failed[s.Path] = err
	}
	a.full, a.lost = a.full || !ofShare && tree.Full(err), a.lost || lost
}

// stopped says whether the replica does not answer any more, and whether it has no room for what a step brings.
func (a *applying) stopped(op Op) (lost, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost, a.full && op < Delete
}

func (a *applying) err() error {
	var problems []error
	for _, p := range a.problems {
		problems = append(problems, p.err)
	}
	err := summary(problems)
	if err != nil && a.full {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// summary is the first of several errors, and how many there are.
func summary(problems []error) error {
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return problems[0]
	}
	return fmt.Errorf("%w (and %d more)", problems[0], len(problems)-1)
}
