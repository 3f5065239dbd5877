package sim

import (
	"flag"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds to run")
	seed  = flag.Uint64("seed", 0, "run only this one and tell its story")
)

// TestSeeds runs whole clusters through faults. A seed that fails is told as a story.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		o := Run(*seed, Options{Tell: true})
		t.Logf("seed %d:\n%s\n%+v", *seed, o.Story, o.Counts)
		if o.Failure != nil {
			t.Fatalf("seed %d: %s", *seed, o.Failure)
		}
		return
	}
	var sum Counts
	var slowest time.Duration
	started := time.Now()
	for n := range uint64(*seeds) {
		o := Run(n+1, Options{})
		if o.Failure != nil {
			t.Errorf("seed %d: %s", n+1, o.Failure)
		}
		slowest = max(slowest, o.Counts.Healing)
		sum.add(o.Counts)
	}
	t.Logf("%d seeds in %s, slowest to heal %s: %+v", *seeds, time.Since(started).Round(time.Millisecond), slowest, sum)
}
