package benchmark

import (
	"context"
	"fmt"
)

const (
	largeSize = 1 << 30
	flippedAt = 600_000_001
)

// large writes a large file, and then changes one byte of it.
func large(ctx context.Context, r *run, s Subject) error {
	forget()
	within, size := "--within="+bulkLimit.String(), fmt.Sprintf("--bytes=%d", int64(largeSize))
	for round := range r.Rounds {
		name := fmt.Sprintf("large-%d", round)
		path := s.Source().Below(name)
		err := r.bulk(ctx, s, "large", "new", []string{"large", size, path}, func(p Place) []string { return []string{"whole", within, size, p.Below(name)} })
		if err != nil {
			return err
		}
		at := fmt.Sprintf("--at=%d", flippedAt)
		err = r.bulk(ctx, s, "large", "one byte", []string{"flip", at, path}, func(p Place) []string { return []string{"whole", within, size, at, p.Below(name)} })
		if err != nil {
			return err
		}
		if _, err := r.change(ctx, s, []string{"remove", path}, func(p Place) []string { return []string{"gone", within, p.Below(name)} }); err != nil {
			return err
		}
	}
	return nil
}
