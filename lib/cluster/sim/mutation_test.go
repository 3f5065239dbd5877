package sim

import (
	"testing"
	"time"
)

// searchTime bounds the search for another seed when the one in the table no longer shows a mutation: any change to the simulation draws other numbers.
const (
	searchTime   = 2 * time.Minute
	searchAtOnce = 100
)

// Every broken rule is noticed by the invariant it protects; the same seed without the mutation is well.
func TestMutationsAreCaught(t *testing.T) {
	for _, c := range []struct {
		mutation  Mutation
		invariant string
		seed      uint64
		options   Options // of the world in which it shows
	}{
		{SkipSync, "I7", 1, Options{}},
		{NeverKeep, "I7", 1368, Options{}},
		{SilentIsYes, "I2", 3, Options{}},
		{NoBallots, "I2", 32, Options{}},
		{ForgetVote, "I2", 37, Options{}},
		{NoLeaseWait, "I1", 10, Options{}},
		{ServeOn, "I1", 4, Options{}},
		{LeaseFromAnswer, "I1", 1398, Options{}},
		{SmallMargin, "I1", 243, Options{}},
		{NoStartWait, "I1", 14, Options{}},
		{GrantAfterVote, "I1", 1140, Options{}},
		{KeepLease, "I1", 19, Options{}},
		{OpenGate, "fencing", 1, Options{}},
		{IgnorePosition, "I3", 32, Options{}},
		{OwnTimeAlone, "I1", 517, Options{}},
		{ForgetTimes, "I1", 917, Options{Servers: 3}},
		{SilentIsWhole, "I3", 65, Options{Tardy: true}},
		{FewAreEnough, "I3", 130, Options{Tardy: true}},
		{MovedUpIsSure, "I3", 229, Options{Tardy: true, Servers: 7}},
		{MeetBlindly, "I4", 51, Options{}},
		{MeetAnyway, "I4", 404, Options{}},
		{CommonIsNewest, "I4", 92, Options{Tardy: true}},
		{AlwaysExact, "I4", 1186, Options{Tardy: true}},
		{NumberAnew, "I4", 10, Options{}},
	} {
		t.Run(string(c.mutation), func(t *testing.T) {
			if o := Run(c.seed, c.options); o.Failure != nil {
				t.Fatalf("seed %d fails without the mutation: %s", c.seed, o.Failure)
			}
			broken := c.options
			broken.Mutation = c.mutation
			if o := Run(c.seed, broken); o.Failure != nil && o.Failure.Invariant == c.invariant {
				return
			}
			for first, began := uint64(1), time.Now(); time.Since(began) < searchTime; first += searchAtOnce {
				for _, o := range runAll(first, searchAtOnce, broken) {
					if o.Failure != nil && o.Failure.Invariant == c.invariant {
						t.Errorf("seed %d does not show it any more; write %d into the table: %s", c.seed, o.Seed, o.Failure)
						return
					}
				}
			}
			t.Errorf("no seed shows it: %s is not checked", c.invariant)
		})
	}
}
