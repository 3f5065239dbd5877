// Package sim runs whole clusters in virtual time, from a seed: the same seed gives the same story, event by event.
//
// What decides is the real thing: record, repair, agree (Vote, Proposal), link (Times, Reports, Due, Wanted, Stand, Newest, Voter, Cast,
// Returning), promote (Gone, Unfit, Located), gate.Allow and change.History. What is modelled is what acts: clocks, network, disks, processes, and a plain data plane.
// After every event the invariants of docs/simulation.md are checked; when all faults are healed the cluster must become whole by itself.
//
// It does not promise that the files on disk are written in the right order (record and agree test that step by step), nor anything
// about SSH, systemd, mounts or how the mirror compares a path.
package sim

import (
	"fmt"
	"strings"
	"time"
)

// Options of a run. The zero value draws everything from the seed.
type Options struct {
	Servers  int      // 0: 3 to 15
	Mutation Mutation // a rule that is broken on purpose
	Tardy    bool     // replicas are often late to say how far they are, and to take what they are sent
	Tell     bool     // keep the whole story
}

// Outcome of a run.
type Outcome struct {
	Seed    uint64
	Failure *Failure // nil: every invariant held
	Story   Story    // with Options.Tell
	Counts  Counts
}

// Failure is the first invariant that did not hold.
type Failure struct {
	Invariant string
	At        time.Duration
	Text      string
}

func (f Failure) String() string {
	return fmt.Sprintf("%s broken at %s: %s", f.Invariant, stamp(f.At), f.Text)
}

// Counts say whether a run showed anything.
type Counts struct {
	Events      int
	Generations int // chosen
	Successions int // of them with another file sharing server
	Switchovers int // of them planned
	Admissions  int
	Crashes     int
	Written     int // operations of clients
	Promised    int // of them acknowledged by a barrier
	Met         int // copies that were compared only where they may differ
	Lost        int // of them not on a later file sharing server, as the present rules allow
	Healing     time.Duration
}

// Story is what happened, one line per event.
type Story []string

func (s Story) String() string { return strings.Join(s, "\n") }

// stamp writes a virtual time.
func stamp(at time.Duration) string { return fmt.Sprintf("%9.4fs", at.Seconds()) }

// Run lives through one seed.
func Run(seed uint64, o Options) Outcome {
	w := newWorld(seed, o)
	w.run()
	return Outcome{Seed: seed, Failure: w.failure, Story: w.story, Counts: w.counts}
}

func (c *Counts) add(d Counts) {
	c.Events += d.Events
	c.Generations += d.Generations
	c.Successions += d.Successions
	c.Switchovers += d.Switchovers
	c.Admissions += d.Admissions
	c.Crashes += d.Crashes
	c.Written += d.Written
	c.Promised += d.Promised
	c.Met += d.Met
	c.Lost += d.Lost
	c.Healing += d.Healing
}
