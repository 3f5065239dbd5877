package sim

import (
	"testing"
	"time"
)

// searchTime bounds the search for another seed when the one in the table no longer shows a mutation: any change to the simulation draws other numbers.
const searchTime = 2 * time.Minute

// Every broken rule is noticed by the invariant it protects; the same seed without the mutation is well.
func TestMutationsAreCaught(t *testing.T) {
	for _, c := range []struct {
		mutation  Mutation
		invariant string
		seed      uint64
	}{
		{SkipSync, "I7", 1},
		{NeverKeep, "I7", 494},
		{SilentIsYes, "I2", 2},
		{NoBallots, "I2", 32},
		{ForgetVote, "I2", 277},
		{NoLeaseWait, "I1", 46},
		{ServeOn, "I1", 4},
		{LeaseFromAnswer, "I1", 684},
		{SmallMargin, "I1", 273},
		{NoStartWait, "I1", 348},
		{GrantAfterVote, "I1", 60},
		{KeepLease, "I1", 20},
		{OpenGate, "fencing", 1},
		{IgnorePosition, "I3", 47},
	} {
		t.Run(string(c.mutation), func(t *testing.T) {
			if o := Run(c.seed, Options{}); o.Failure != nil {
				t.Fatalf("seed %d fails without the mutation: %s", c.seed, o.Failure)
			}
			if o := Run(c.seed, Options{Mutation: c.mutation}); o.Failure != nil && o.Failure.Invariant == c.invariant {
				return
			}
			for seed, began := uint64(1), time.Now(); time.Since(began) < searchTime; seed++ {
				o := Run(seed, Options{Mutation: c.mutation})
				if o.Failure != nil && o.Failure.Invariant == c.invariant {
					t.Errorf("seed %d does not show it any more; write %d into the table: %s", c.seed, seed, o.Failure)
					return
				}
			}
			t.Errorf("no seed shows it: %s is not checked", c.invariant)
		})
	}
}
