package agree

import (
	"slices"

	"hafs/lib/cluster/record"
)

// Outcome of a round. Not yet known is an answer of its own: a silent voter has not said no.
type Outcome int

const (
	Pending Outcome = iota // neither is certain yet
	Won                    // a majority said yes
	Lost                   // so many said no that a majority cannot say yes any more
)

// Count judges a round. Only members count, each once; an empty list of members never wins.
func Count(members []string, answers map[string]Answer) Outcome {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	if len(members) == 0 {
		return Lost
	}
	yes, no := 0, 0
	for _, m := range members {
		a, answered := answers[m]
		switch {
		case answered && a.Yes:
			yes++
		case answered:
			no++
		}
	}
	majority := len(members)/2 + 1
	switch {
	case yes >= majority:
		return Won
	case no > len(members)-majority:
		return Lost
	}
	return Pending
}

// Value is what a proposer must ask for after a won prepare: the record accepted under the latest ballot if there is any, else its own.
func Value(promises map[string]Answer, own record.Record) record.Record {
	var latest Ballot
	value := own
	for _, a := range promises {
		if a.Yes && a.Value != nil && a.Accepted.Compare(latest) > 0 {
			latest, value = a.Accepted, *a.Value
		}
	}
	return value
}

// Next is the ballot with which to try again: beyond all that were seen.
func Next(self string, last Ballot, answers map[string]Answer) Ballot {
	round := last.Round
	for _, a := range answers {
		round = max(round, a.Promised.Round)
	}
	return Ballot{Round: round + 1, Proposer: self}
}
