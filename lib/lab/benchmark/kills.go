package benchmark

import (
	"context"
	"fmt"
	"time"

	"hafs/lib/lab/experiment"
	"hafs/lib/lab/shape"
)

const killJitter = time.Second

// kills takes the power of the serving server away at moments of no choice.
func kills(ctx context.Context, r *run, s Subject) error {
	if _, is := s.(*hafs); !is {
		return fmt.Errorf("there is no way to kill %s again and again", s.Name())
	}
	for n := range r.Kills {
		outcome, err := r.killed(ctx, benchShape)
		if err != nil {
			return fmt.Errorf("kill %d: %w", n+1, err)
		}
		r.addExperience(s, "kills", "", outcome)
	}
	return nil
}

// killed is one such loss of power, while a client works without a pause.
func (r *run) killed(ctx context.Context, wanted shape.Shape) (experience, error) {
	r.cluster.Interval, r.cluster.Jitter = -1, killJitter
	defer func() { r.cluster.Interval, r.cluster.Jitter = 0, 0 }()
	return r.failHAFS(ctx, wanted, experiment.Kill)
}
