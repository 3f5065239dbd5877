package benchmark

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const bulkLimit = 180 * time.Second

// files writes, renames and deletes a folder of many.
func files(ctx context.Context, r *run, s Subject) error {
	within := "--within=" + bulkLimit.String()
	for round := range r.Rounds {
		from, to := fmt.Sprintf("burst-%d", round), fmt.Sprintf("renamed-%d", round)
		src := s.Source()
		forget()
		for _, step := range []struct {
			what string
			do   []string
			wait func(Place) []string
		}{
			{"new", []string{"burst", src.Below(from)}, func(p Place) []string { return []string{"filled", within, p.Below(from)} }},
			{"rename", []string{"rename", src.Below(from), src.Below(to)}, func(p Place) []string { return []string{"moved", within, p.Below(from), p.Below(to)} }},
			{"delete", []string{"remove", src.Below(to)}, func(p Place) []string { return []string{"gone", within, p.Below(to)} }},
		} {
			if err := r.bulk(ctx, s, "files", step.what, step.do, step.wait); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget takes from memory what those before have left there. In ext4 without a journal whoever makes a file searches past inodes that were
// removed up to five minutes ago, as far as they are in memory: who comes second would pay for the first.
func forget() {
	unix.Sync()
	_ = os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// bulk measures one change of much. What was written before is on the disk when it begins: nobody pays for whoever was measured before.
func (r *run) bulk(ctx context.Context, s Subject, work, what string, do []string, wait func(Place) []string) error {
	unix.Sync()
	c, err := r.change(ctx, s, do, wait)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	r.add(s, work, what+", after the last call", "s", c.after(0))
	r.add(s, work, what+", from the first call", "s", c.total(0))
	r.add(s, work, what+", second replica after the last call", "s", c.after(1))
	return nil
}
