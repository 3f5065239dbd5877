package reception

import (
	"testing"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/link"
	"hafs/lib/testkit/recordtest"
)

// What programs may write is what the fullest replica takes. A spare keeps nothing, and who is silent says nothing.
func TestLeastFree(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/trouble spares=M3 failed=X1")
	free := func(bytes uint64) link.Facts { return link.Facts{FreeBytes: bytes, SizeBytes: 100} }
	for name, c := range map[string]struct {
		peers map[string]link.Peer
		bytes uint64
		known bool
	}{
		"nobody has said it":    {map[string]link.Peer{"W3": {Verdict: link.Alive}}, 0, false},
		"the fullest":           {map[string]link.Peer{"W3": {Verdict: link.Alive, Facts: free(20)}, "M2": {Verdict: link.Alive, Facts: free(10)}, "M1": {Verdict: link.Alive, Facts: free(30)}}, 10, true},
		"a full one":            {map[string]link.Peer{"W3": {Verdict: link.Alive, Facts: free(20)}, "M2": {Verdict: link.Alive, Facts: free(0)}}, 0, true},
		"one that is lost":      {map[string]link.Peer{"W3": {Verdict: link.Alive, Facts: free(20)}, "M2": {Verdict: link.Lost, Facts: free(10)}}, 20, true},
		"one without the share": {map[string]link.Peer{"W3": {Verdict: link.Alive, Facts: free(20)}, "M2": {Verdict: link.Alive, Facts: link.Facts{FreeBytes: 5, SizeBytes: 100, Bare: gate.Unmarked}}}, 20, true},
		"others":                {map[string]link.Peer{"W3": {Verdict: link.Alive, Facts: free(20)}, "M3": {Verdict: link.Alive, Facts: free(10)}, "X1": {Verdict: link.Alive, Facts: free(5)}}, 20, true},
	} {
		if bytes, known := leastFree(r, c.peers); bytes != c.bytes || known != c.known {
			t.Errorf("%s: %d %t", name, bytes, known)
		}
	}
}
