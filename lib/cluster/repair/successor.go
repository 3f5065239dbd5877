package repair

import (
	"fmt"
	"slices"
	"strings"

	"hafs/lib/cluster/record"
)

// Position is how far a replica has come.
type Position struct {
	Complete   bool   // false: still being filled for the first time
	Generation uint64 // in which the file sharing server counted
	Number     uint64 // of changes applied in that generation
}

// None is what a replica answers that has no position: it was never fed, or what it has counts no more. It is behind all others.
var None = Position{}

func (p Position) ahead(q Position) bool {
	if p.Generation != q.Generation {
		return p.Generation > q.Generation
	}
	return p.Number > q.Number
}

// Positions holds what replicas answered when they were asked how far they are: a Position, or None. A replica that is not in it has not answered,
// and nothing is known of it; it is never taken for complete.
type Positions map[string]Position

// Unnumbered is for replicas that count nothing (transport paper): the first one succeeds.
var Unnumbered Positions

// Candidates are the replicas one of which succeeds the file sharing server when the servers gone have failed: the DRS1s that are left and, only when
// there are none, the DRS2s: they are a step further behind.
func Candidates(r record.Record, gone []string) []string {
	var first, second []string
	for _, p := range r.Pairs {
		if p.DRS1 != record.Trouble && !slices.Contains(gone, p.DRS1) {
			first = append(first, p.DRS1)
		}
		if p.DRS2 != record.Trouble && !slices.Contains(gone, p.DRS2) {
			second = append(second, p.DRS2)
		}
	}
	if len(first) > 0 {
		return first
	}
	return second
}

// successor chooses the next FS: among the candidates the most advanced complete one, ties in the order of the pairs.
//
// One that does not answer may be the furthest. It is left out only if that can lose nothing: a change was acknowledged when more than half of the DRS1s
// that counted had it, so half of them, known to be complete, are sure to have it between them. Complete in this generation, that is: a DRS2 that moved up
// and has not been fed by FS since has what its DRS1 passed on in time. With fewer it is refused: the silent one answers soon, or its link finds it lost,
// and then it is gone.
func successor(r record.Record, gone []string, positions Positions) (string, error) {
	candidates := Candidates(r, gone)
	switch {
	case len(candidates) == 0:
		return "", Refusal{Reason: "the file sharing server is gone and no replica lives"}
	case positions == nil:
		return candidates[0], nil
	}
	best, sure := "", 0
	var silent []string
	for _, name := range candidates {
		p, answered := positions[name]
		switch {
		case !answered:
			silent = append(silent, name)
		case p.Complete:
			if p.Generation == r.Generation {
				sure++
			}
			if best == "" || p.ahead(positions[best]) {
				best = name
			}
		}
	}
	if places := len(r.DRS1s()); len(silent) > 0 && 2*sure < places {
		return "", Refusal{Reason: fmt.Sprintf("the file sharing server is gone, and it is not known how far %s is: no answer; %d of %d DRS1s are known to be complete in this generation, and without it half of them are needed",
			strings.Join(silent, ", "), sure, places)}
	}
	if best == "" {
		return "", Refusal{Reason: fmt.Sprintf("the file sharing server is gone and no replica is complete: %s still being filled", strings.Join(candidates, ", "))}
	}
	return best, nil
}

// Complete takes all replicas for complete, whatever they say and even when they say nothing: what --force does when there is no successor otherwise.
func Complete(r record.Record, gone []string, positions Positions) Positions {
	all := Positions{}
	for _, name := range Candidates(r, gone) {
		p := positions[name] // None without an answer
		p.Complete = true
		all[name] = p
	}
	return all
}
