package workload

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// SlowLimit is what a client notices: an operation that takes longer is counted as slow.
const SlowLimit = 100 * time.Millisecond

// Experience is what a client went through around a failure.
type Experience struct {
	Operations int           // that returned after the failure
	Failed     int           // of them: an error, or an acknowledged file that was missing or different
	Slow       int           // of them: good, but slower than SlowLimit
	Outage     time.Duration // the longest time after the failure from the end of one good operation to the end of the next
	OutageFrom time.Time     // when the good operation before it had ended
	Open       bool          // no good operation followed: the outage lasted at least until the log ends
}

// Experienced reads a client's log for what a failure at that moment did to it.
//
// An operation that spans the failure belongs to what came after. The outage runs from the end of the last good operation to
// the end of the first good one: an operation that hung until the service was back counts with its whole duration.
func Experienced(log []Operation, failure time.Time) Experience {
	var e Experience
	log = slices.SortedStableFunc(slices.Values(log), func(a, b Operation) int { return int(a.End - b.End) })
	var lastGood, lastSeen time.Time
	for _, o := range log {
		after := o.Ended().After(failure)
		lastSeen = o.Ended()
		if after {
			e.Operations++
			switch {
			case o.Outcome != Good:
				e.Failed++
			case o.Took() > SlowLimit:
				e.Slow++
			}
		}
		if !serves(o) {
			continue
		}
		if gap := o.Ended().Sub(lastGood); after && !lastGood.IsZero() && gap > e.Outage {
			e.Outage, e.OutageFrom = gap, lastGood
		}
		lastGood = o.Ended()
	}
	if gap := lastSeen.Sub(lastGood); gap > e.Outage && !lastGood.IsZero() {
		e.Outage, e.OutageFrom, e.Open = gap, lastGood, true
	}
	return e
}

// serves says whether the share answered. A lost file is a loss, but whoever says so is at work again.
func serves(o Operation) bool {
	return o.Outcome == Good || o.Outcome == Missing || o.Outcome == Different
}

// Acknowledgement is a file that was acknowledged, and when.
type Acknowledgement struct {
	File string
	At   time.Time
}

// Acknowledged lists the files whose write was good, in the order of the log.
func Acknowledged(log []Operation) []Acknowledgement {
	var all []Acknowledgement
	for _, o := range log {
		if o.Kind != Read && o.Outcome == Good {
			all = append(all, Acknowledgement{o.File, o.Ended()})
		}
	}
	return all
}

// Losses are acknowledged files that are missing or different now.
type Losses struct {
	Before    []Acknowledgement // acknowledged before the failure
	After     []Acknowledgement // acknowledged at the failure or later
	Older     int               // of Before: those acknowledged more than OldLimit before the failure
	Different int               // of all: those that are there with other bytes
}

// OldLimit is the age from which an acknowledged file should have reached a replica whatever happens.
const OldLimit = time.Second

// Lost compares what was acknowledged with what is there now. read returns the bytes of a file, fs.ErrNotExist when it is missing; any
// other error ends the comparison.
func Lost(log []Operation, failure time.Time, read func(file string) ([]byte, error)) (Losses, error) {
	var l Losses
	for _, a := range Acknowledged(log) {
		text, err := read(a.File)
		if err == nil {
			if outcome, _ := verdict(a.File, text); outcome == Good {
				continue
			}
			l.Different++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
		if !a.At.Before(failure) {
			l.After = append(l.After, a)
			continue
		}
		l.Before = append(l.Before, a)
		if failure.Sub(a.At) > OldLimit {
			l.Older++
		}
	}
	return l, nil
}
