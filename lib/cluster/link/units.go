package link

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"time"

	"hafs/lib/host/problem"
	"hafs/lib/host/system"
)

// partsEvery is how often the units of this server are looked at.
const partsEvery = 2 * time.Second

// followParts looks whether what should run on this server does.
func (d *Daemon) followParts(ctx context.Context) {
	d.mu.Lock()
	d.parts.seen = time.Now()
	d.mu.Unlock()
	for ctx.Err() == nil {
		units, err := d.lookAtParts(ctx)
		if err != nil {
			d.Log.Debug().Err(err).Msg("cannot see the units")
		} else {
			unwatched := readWatch(d.Settings.Run("watch.json"))
			d.mu.Lock()
			d.parts.see(units, time.Now())
			d.unwatched = unwatched
			d.mu.Unlock()
		}
		sleep(ctx, partsEvery)
	}
}

func (d *Daemon) lookAtParts(ctx context.Context) ([]system.Unit, error) {
	ctx, cancel := context.WithTimeout(ctx, AskPatience)
	defer cancel()
	return d.Units(ctx, slices.Concat(always, sometimes)...)
}

// readWatch is what hafs-watch said last of why it cannot watch.
func readWatch(path string) problem.Problem {
	var said struct {
		Problem   string     `json:"problem"`
		ProblemID problem.ID `json:"problem_id"`
	}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &said) != nil {
		return problem.Problem{}
	}
	return problem.Problem{ID: said.ProblemID, Text: said.Problem}
}
