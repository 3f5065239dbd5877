package promote

import (
	"slices"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// LocatePatience is how long a replica may take to say how far it is, counted from the question. One that lives answers in milliseconds over a warm link;
// a second is a machine that has other things to do for a moment. Clients wait for a successor meanwhile.
const LocatePatience = time.Second

// LocatePause is how often a proposer that waits looks again at who is lost, and asks again who could not be reached.
const LocatePause = 50 * time.Millisecond

// Located says whether a proposer has waited long enough for the positions of replicas: all that could succeed have answered, or have had their time. What
// follows without some of them package repair decides, and refuses if it could lose something.
func Located(r record.Record, gone []string, positions repair.Positions, waited time.Duration) bool {
	return waited >= LocatePatience || !slices.ContainsFunc(repair.Candidates(r, gone), func(name string) bool {
		_, answered := positions[name]
		return !answered
	})
}
