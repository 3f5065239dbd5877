package benchmark

import (
	"context"
	"fmt"
	"time"

	"hafs/lib/lab/experiment"
)

const killJitter = time.Second

// kills takes the power of the serving server away at moments of no choice.
func kills(ctx context.Context, r *run, s Subject) error {
	ours, is := s.(*hafs)
	if !is {
		return fmt.Errorf("there is no way to kill %s again and again", s.Name())
	}
	r.cluster.Interval, r.cluster.Jitter = -1, killJitter
	defer func() { r.cluster.Interval, r.cluster.Jitter = 0, 0 }()
	for n := range r.Kills {
		outcome, err := r.failHAFS(ctx, ours, experiment.Kill, source)
		if err != nil {
			return fmt.Errorf("kill %d: %w", n+1, err)
		}
		r.add(s, "kills", "acknowledged files lost", "files", outcome.lost)
		r.add(s, "kills", "failed operations", "operations", outcome.failed)
		r.add(s, "kills", "outage", "s", outcome.outage)
	}
	return nil
}
