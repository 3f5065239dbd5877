package watch

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

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

// The warning is in the log once, not twice a second.
func TestWarningOfFewWatches(t *testing.T) {
	var log strings.Builder
	w := Watcher{Log: zerolog.New(&log)}
	used := setting(watchesSetting)
	if used == 0 {
		t.Skip("this kernel does not say its limit")
	}
	for range 3 {
		w.checkWatches(used/10*8 + 10)
		w.checkWatches(used)
	}
	if n := strings.Count(log.String(), "watches run short"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
}
