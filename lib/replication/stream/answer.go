package stream

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// answerBytes is about how large the parts of a listing are.
const answerBytes = 64 << 10

// answer is a listing on its way to the sender, in frames of bounded size.
type answer struct {
	s      *serving
	body   []byte
	before string
	count  int
}

func (s *serving) answer() *answer { return &answer{s: s, body: []byte{byte(restFollows)}} }

func (a *answer) add(f Found) error {
	a.body = appendFound(a.body, a.before, f)
	a.before = f.Path
	a.count++
	if len(a.body) < answerBytes {
		return nil
	}
	err := a.s.send(kindEntries, a.body)
	a.body, a.before = append(a.body[:0], byte(restFollows)), ""
	return err
}

func (a *answer) end(after rest) error {
	a.body[0] = byte(after)
	return a.s.reply(kindEntries, a.body)
}

func (s *serving) look(body []byte) error {
	paths, sums, err := cutPaths(body)
	if err != nil {
		return err
	}
	a := s.answer()
	for _, path := range paths {
		e, err := s.root.Lstat(path)
		if err := a.add(s.found(path, e, err, sums)); err != nil {
			return err
		}
	}
	return a.end(restNothing)
}

func (s *serving) found(path string, e *change.Entry, err error, sums bool) Found {
	f := Found{Path: path, Entry: e}
	if e != nil {
		e.Xattrs = e.Xattrs.Digest()
	}
	if err == nil && sums && e != nil && e.Kind == change.File {
		f.Sum, err = SumOf(s.root, path)
	}
	if err != nil {
		p := problem(err)
		f.Problem = &p
	}
	return f
}

// SumOf reads a file.
func SumOf(root *tree.Root, path string) (*Sum, error) {
	f, err := root.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, err
	}
	return (*Sum)(hash.Sum(nil)), nil
}

// sumBytes is how much is read for the sums of a listing with a limit: whoever asked waits for it.
const sumBytes = 16 << 20

var errLimit = errors.New("the limit of a listing is reached")

func (s *serving) list(body []byte) error {
	l, err := cutListing(body)
	if err != nil {
		return err
	}
	if l.After == "" {
		s.names.Forget()
	}
	a := s.answer()
	left := int64(sumBytes)
	if l.Limit == 0 {
		l.Limit, left = math.MaxInt, math.MaxInt64
	}
	switch err := s.below(a, l.Directory, l, &left); {
	case errors.Is(err, errLimit):
		return a.end(restUnsaid)
	case err != nil:
		return err
	}
	return a.end(restNothing)
}

// below lists what is in a directory and below it. The names of one directory are in memory, and of those above it.
func (s *serving) below(a *answer, dir string, l Listing, left *int64) error {
	d, err := s.root.Dir(dir)
	if tree.Absent(err) {
		return nil
	}
	var names []string
	if err == nil {
		defer d.Close()
		names, err = s.names.Of(d)
	}
	if tree.Absent(err) {
		return nil
	}
	if err != nil {
		return a.add(s.found(dir, nil, err, false))
	}
	for _, name := range names {
		if change.Trashed(dir, name) {
			continue
		}
		path := change.Join(dir, name)
		if len(path) > change.MaxPathBytes { // it can neither be told nor be asked for; the share has none of these
			continue
		}
		passed, into := Passed(path, l.After)
		if passed && !into {
			continue
		}
		e, err := d.Lstat(name)
		if e == nil && err == nil || kept(name, e) {
			continue
		}
		if !passed {
			if a.count >= l.Limit || *left <= 0 {
				return errLimit
			}
			if err := a.add(s.found(path, e, err, l.Sums)); err != nil {
				return err
			}
			if l.Sums && e != nil && e.Kind == change.File {
				*left -= e.Size
			}
		}
		if e != nil && e.Kind == change.Directory {
			if err := s.below(a, path, l, left); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepFor is how long a large file that has not arrived in full is kept; after that it is listed, and so removed.
const keepFor = time.Hour

func kept(name string, e *change.Entry) bool {
	if !strings.HasPrefix(name, change.PartialPrefix) || e == nil || e.Kind != change.File {
		return false
	}
	age := time.Since(time.Unix(0, e.Mtime))
	return age >= 0 && age < keepFor
}

func (s *serving) move(body []byte) error {
	step, err := cutStep(body)
	if err == nil {
		err = step.check(OpDelete) // two paths are all there is
	}
	if err == nil && step.From == "" {
		err = fmt.Errorf("%w: move from nowhere", ErrFrame)
	}
	if err != nil {
		return err
	}
	s.does(step.From, true)
	s.does(step.Path, true)
	moved, err := s.root.Move(step.From, step.Path)
	p := Problem{}
	if err != nil {
		p = problem(err)
	}
	if moved {
		s.unsynced.moved(step.From, step.Path)
		if err := s.passed([]string{step.From, step.Path}); err != nil {
			return err
		}
	}
	return s.reply(kindMoved, appendProblem(appendBool(appendBool(nil, moved), err != nil), p))
}
