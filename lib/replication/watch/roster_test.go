package watch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A roster against a set, on random comings and goings; and it does not grow with them.
func TestRosterAgainstSet(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		var r roster
		want := map[string]struct{}{}
		for range 2000 {
			name := fmt.Sprintf("file %d", rnd.IntN(30))
			if rnd.IntN(2) == 0 {
				r.had(name)
				want[name] = struct{}{}
			} else {
				r.lost(name)
				delete(want, name)
			}
			if len(r.log) > 4*growthBytes {
				t.Fatalf("seed %d: %d bytes for %d names", seed, len(r.log), len(want))
			}
		}
		if got := r.set(); !maps.Equal(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
		var now roster
		for name := range want {
			now.had(name)
		}
		now.lost("nobody")
		r.had("file x")
		if missing := r.missing(now.log); !slices.Equal(missing, []string{"file x"}) {
			t.Fatalf("seed %d: missing %v", seed, missing)
		}
	}
}
