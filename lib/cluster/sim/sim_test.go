package sim

import (
	"flag"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds to run")
	seed  = flag.Uint64("seed", 0, "run only this one and tell its story")
)

// TestSeeds runs whole clusters through faults (I1, I2, I3, I4, I7, I8, and that they become whole again). The first seed that fails is told.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		o := Run(*seed, Options{Tell: true})
		t.Logf("seed %d:\n%s\n%+v", *seed, o.Story, o.Counts)
		if o.Failure != nil {
			t.Fatalf("seed %d: %s", *seed, o.Failure)
		}
		return
	}
	started := time.Now()
	outcomes := runAll(1, uint64(*seeds), Options{})
	var sum Counts
	var failed []uint64
	slowest := Outcome{}
	for _, o := range outcomes {
		if o.Failure != nil {
			t.Errorf("seed %d: %s", o.Seed, o.Failure)
			failed = append(failed, o.Seed)
		}
		if o.Counts.Healing > slowest.Counts.Healing {
			slowest = o
		}
		sum.add(o.Counts)
	}
	t.Logf("%d seeds in %s: %+v; slowest to heal: seed %d in %s", *seeds, time.Since(started).Round(time.Millisecond), sum, slowest.Seed, slowest.Counts.Healing)
	if len(failed) > 0 {
		story := Run(failed[0], Options{Tell: true}).Story
		t.Logf("the end of seed %d (make sim SEED=%d tells it all):\n%s", failed[0], failed[0], story[max(0, len(story)-100):])
	}
	if *seeds >= 200 && (sum.Successions < *seeds/2 || sum.Switchovers < *seeds/10 || sum.Admissions < *seeds || sum.Promised < 50**seeds) {
		t.Errorf("too little happens to show anything: %+v", sum)
	}
}

// Nothing breaks either when replicas are late to say how far they are, and the cluster becomes whole all the same.
func TestTardyReplicas(t *testing.T) {
	for _, o := range runAll(1, uint64(*seeds)/5, Options{Tardy: true}) {
		if o.Failure != nil {
			t.Errorf("seed %d: %s", o.Seed, o.Failure)
		}
	}
}

// runAll runs n seeds on all processors.
func runAll(first, n uint64, options Options) []Outcome {
	var mu sync.Mutex
	var outcomes []Outcome
	next := make(chan uint64)
	var working sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for seed := range next {
				o := Run(seed, options)
				mu.Lock()
				outcomes = append(outcomes, o)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- first + i
	}
	close(next)
	working.Wait()
	slices.SortFunc(outcomes, func(a, b Outcome) int { return int(a.Seed) - int(b.Seed) })
	return outcomes
}

func TestSameSeedSameStory(t *testing.T) {
	for seed := range uint64(5) {
		a, b := Run(seed, Options{Tell: true}), Run(seed, Options{Tell: true})
		if !slices.Equal(a.Story, b.Story) || a.Counts != b.Counts {
			t.Fatalf("seed %d: two runs differ", seed)
		}
		if c := Run(seed+100, Options{Tell: true}); slices.Equal(a.Story, c.Story) {
			t.Fatalf("seeds %d and %d tell the same story", seed, seed+100)
		}
	}
}
