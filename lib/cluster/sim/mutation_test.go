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
		{SkipSync, "I7", 4, Options{}},
		{NeverKeep, "I7", 614, Options{}},
		{SilentIsYes, "I2", 9, Options{}},
		{NoBallots, "I2", 4, Options{}},
		{ForgetVote, "I2", 192, Options{}},
		{NoLeaseWait, "I1", 46, Options{}},
		{ServeOn, "I1", 4, Options{}},
		{LeaseFromAnswer, "I1", 821, Options{}},
		{SmallMargin, "I1", 797, Options{}},
		{NoStartWait, "I1", 1270, Options{}},
		{GrantAfterVote, "I1", 41, Options{}},
		{KeepLease, "I1", 51, Options{}},
		{OpenGate, "fencing", 2, Options{}},
		{IgnorePosition, "I3", 45, Options{}},
		{OwnTimeAlone, "I1", 8, Options{}},
		{ForgetTimes, "I1", 899, Options{}},
		{SilentIsWhole, "I3", 107, Options{Tardy: true}},
		{FewAreEnough, "I3", 346, Options{Tardy: true}},
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
