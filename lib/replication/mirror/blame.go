package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// looked says of what is lacked whether it was looked at.
type looked func(l *lack) bool

// lookedAt says what changes have looked at; not what is below directories that were too large. Whether the replicas of a replica have something shows only when
// that is waited for.
func lookedAt(changes []change.Change, large []string) looked {
	var waited []change.Change
	for _, c := range changes {
		if c.Waited {
			waited = append(waited, c)
		}
	}
	all, passed := among(changes, large), among(waited, large)
	return func(l *lack) bool { return all(l) && (!l.unpassed || passed(l)) }
}

func among(changes []change.Change, large []string) looked {
	paths, scans := asked(changes)
	scans = slices.DeleteFunc(scans, func(dir string) bool { return slices.Contains(large, dir) })
	single := map[string]bool{}
	for _, path := range paths {
		single[path] = true
	}
	return func(l *lack) bool {
		return single[l.Path] && !l.folded || slices.ContainsFunc(scans, func(dir string) bool { return change.Within(l.Path, dir) })
	}
}

// err is the error of a batch whose receiver does not say which paths its problems are of, or for which nobody keeps what is lacked.
func (s *sending) err(r stream.Result) error {
	problems := r.Errs()
	for _, p := range s.unread {
		problems = append(problems, p.err)
	}
	err := summary(problems)
	if r.Full {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// blame finds for each path that a batch did not bring why that is. Its error is what is no path's: the replica is not as it was thought to be, its file system
// does not answer, or too much of a batch failed to be told apart.
func (s *Stream) blame(sent sending, r stream.Result) (map[string]failure, error) {
	failed := map[string]failure{}
	for _, p := range sent.unread {
		failed[p.path] = failure{OfShare, p.err, false}
	}
	if r.Count > 0 && r.Failed == nil {
		return nil, sent.err(r)
	}
	causes := map[int]error{}
	passing := len(sent.steps) + stream.Passing
	for i, step := range r.Of {
		if step >= len(sent.steps) && step != passing || tree.Lost(r.Problems[i]) && !errors.Is(r.Problems[i], unix.EIO) {
			return nil, r.Problems[i]
		}
		causes[step] = r.Problems[i]
	}
	unknown := summary(r.Errs())
	if r.Full {
		unknown = errNoRoom
	}
	var odd error
	var untried []string // what there may be room for, without that which took it
	for number, step := range sent.steps {
		if !r.Failed[number] {
			continue
		}
		err := causes[number]
		if err == nil && step.From != "" {
			err = failed[step.From].err
		}
		if err == nil {
			err = unknown
		}
		if r.Failed[passing] {
			err = unpassed{err}
		}
		lacked, finishes := s.lacks.unmade(step.Path), sent.does(number, Finish)
		switch {
		case finishes && lacked != nil:
			failed[step.Path] = *lacked
		case r.Full && causes[number] == nil && s.roomAgain:
			untried = append(untried, step.Path)
		case stale(err) && s.lacks.below(step.Path, failed):
		case stale(err) && !s.lacks.doubt(step.Path, time.Now()):
			odd = fmt.Errorf("%w: the replica is not as it was thought to be: %w", ErrVanished, err)
		default:
			failed[step.Path] = failure{OfReplica, err, sent.does(number, MakeDirectory)}
		}
	}
	if r.Failed[passing] {
		err := unpassed{cmp.Or(causes[passing], unknown)}
		for _, path := range sent.durable { // also what the replica has: its own replicas have not
			if path == "." {
				return nil, err
			}
			failed[path] = failure{OfReplica, err, false}
		}
	}
	for _, path := range sent.roomless {
		if s.roomAgain {
			untried = append(untried, path)
			continue
		}
		failed[path] = failure{OfReplica, errNoRoom, false}
	}
	if odd == nil && len(untried) > 0 {
		odd = vanishedName{untried, true}
	}
	return failed, odd
}

// errNoRoom is the cause of what was not even tried.
var errNoRoom = fmt.Errorf("the replica has no room: %w", unix.ENOSPC)

// does says what a step was to do.
func (s *sending) does(number int, op Op) bool {
	for _, n := range s.notes {
		if n.number == number {
			return n.step.Op == op
		}
	}
	return false
}

// unmade is the failure of a directory that is lacked with all that is in it; nil: it is not. What else is done to it fails because it is not there, or something
// else is, and tells nothing new.
func (l *lacks) unmade(path string) *failure {
	if known, is := l.of(path); is && known.Path == path && known.Below {
		return &failure{known.Side, known, true}
	}
	return nil
}

// below says whether a directory above a path is lacked with all that is in it.
func (l *lacks) below(path string, failed map[string]failure) bool {
	for at := path; at != "."; {
		at = parent(at)
		if f, is := failed[at]; is && f.below {
			return true
		}
	}
	above, is := l.of(parent(path))
	return is && above.Below
}

// dealt notes what became of the paths that were gathered.
func (g *gathering) dealt(l *lacks, failed map[string]failure, log zerolog.Logger) {
	if g.lacking == nil {
		return
	}
	for path, f := range g.lacking {
		if failed == nil {
			failed = map[string]failure{}
		}
		failed[path] = f
	}
	looked := g.looked
	if looked == nil {
		looked = func(*lack) bool { return false }
	}
	for _, l := range l.dealt(looked, failed, time.Now()) {
		log.Warn().Str(zerolog.ErrorFieldName, l.Cause).Str("path", l.Path).Str("side", string(l.Side)).Msg("not copied; everything else is")
	}
}

// blame is that of a Stream, for steps that were carried out here.
func (d *Directory) blame(a *applying) (map[string]failure, error) {
	if a.lost {
		return nil, a.err()
	}
	failed := map[string]failure{}
	var odd error
	for _, p := range a.problems {
		var ofShare shareError
		lacked := d.lacks.unmade(p.Path)
		switch {
		case p.Op == Finish && lacked != nil:
			failed[p.Path] = *lacked
		case errors.As(p.err, &ofShare):
			failed[p.Path] = failure{OfShare, ofShare.error, false}
		case stale(p.err) && d.lacks.below(p.Path, failed):
		case errors.Is(p.err, ErrVanished):
			odd = p.err
		case stale(p.err) && !d.lacks.doubt(p.Path, time.Now()):
			odd = fmt.Errorf("%w: the replica is not as it was thought to be: %w", ErrVanished, p.err)
		default:
			failed[p.Path] = failure{OfReplica, p.err, p.Op == MakeDirectory}
		}
	}
	return failed, odd
}
