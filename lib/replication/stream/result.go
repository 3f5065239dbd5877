package stream

import (
	"encoding/binary"
	"errors"
	"syscall"
)

// Result is what became of a batch.
type Result struct {
	Count    int          // of problems
	Problems []Problem    // the first of them
	Of       []int        // the steps that these are of, one beyond the last step for what concerns all; nil: a receiver of an old version does not say
	Full     bool         // there was no room
	Failed   map[int]bool // numbers of the steps that were not done; nil with problems: too many to tell, any may be
}

const (
	maxProblems = 128
	oldProblems = 16 // before version 4
	maxFailed   = 50_000
)

// Errs are the problems, as many as there were.
func (r Result) Errs() []error {
	var errs []error
	for _, p := range r.Problems {
		errs = append(errs, p)
	}
	for len(errs) < r.Count {
		errs = append(errs, errors.New("a further problem"))
	}
	return errs
}

// Done says whether a step was certainly done.
func (r Result) Done(step int) bool {
	return r.Count == 0 && len(r.Failed) == 0 || r.Failed != nil && !r.Failed[step]
}

// Passing is the number, counted from the last step of a batch, of the passing on to the receiver's own replicas of what the batch changed, or is waited for. (0 is the
// sync of what is waited for.)
const Passing = 1

// fail notes that a step was not done; err is nil when it was not even tried.
func (r *Result) fail(step int, err error) {
	if r.Failed == nil && r.Count == 0 {
		r.Failed = map[int]bool{}
	}
	if r.Failed != nil {
		r.Failed[step] = true
		if len(r.Failed) > maxFailed {
			r.Failed = nil
		}
	}
	if err == nil {
		return
	}
	r.Count++
	if len(r.Problems) < maxProblems {
		r.Problems, r.Of = append(r.Problems, problem(err)), append(r.Of, step)
	}
}

func problem(err error) Problem {
	var errno syscall.Errno
	errors.As(err, &errno)
	return Problem{err.Error(), errno}
}

func appendResult(b []byte, r Result, version uint16) []byte {
	if version < 4 {
		r.Problems, r.Of = r.Problems[:min(len(r.Problems), oldProblems)], nil
	}
	b = binary.BigEndian.AppendUint32(appendBool(b, r.Full), uint32(r.Count))
	b = append(b, byte(len(r.Problems)))
	for i, p := range r.Problems {
		b = appendProblem(b, p)
		if version >= 4 {
			b = binary.BigEndian.AppendUint32(b, uint32(r.Of[i]))
		}
	}
	b = appendBool(b, r.Failed != nil)
	for step := range r.Failed {
		b = binary.BigEndian.AppendUint32(b, uint32(step))
	}
	return b
}

func cutResult(body []byte, version uint16) (Result, error) {
	c := cutter{rest: body}
	r := Result{Full: c.bool(), Count: int(c.uint32())}
	for n := c.uint8(); n > 0 && c.err == nil; n-- {
		r.Problems = append(r.Problems, c.problem())
		if version >= 4 {
			r.Of = append(r.Of, int(c.uint32()))
		}
	}
	if len(r.Problems) > min(r.Count, maxProblems) {
		c.fail("%d problems, of %d", len(r.Problems), r.Count)
	}
	if c.bool() {
		r.Failed = map[int]bool{}
		for c.err == nil && len(c.rest) > 0 {
			r.Failed[int(c.uint32())] = true
		}
	}
	return r, c.end()
}
