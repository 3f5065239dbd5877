package watch

import "testing"

func TestGauge(t *testing.T) {
	var g gauge
	for _, c := range []struct {
		used, limit int
		want        bool
	}{{0, 0, false}, {79, 100, false}, {80, 100, true}, {95, 100, false}, {100, 100, false}, {159, 190, false}, {160, 190, true}, {5, 5, false}} {
		if got := g.short(c.used, c.limit); got != c.want {
			t.Errorf("%d of %d: %v", c.used, c.limit, got)
		}
	}
}
