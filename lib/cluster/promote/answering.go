package promote

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// patience bounds how long a member may take to answer that this server keeps no link to.
const patience = 2 * time.Second

// Answering finds out which members answer: from the verdicts of this server's hafs-linkcheck, and by asking those it has none of, since only
// FS and the DRS1s watch everybody. It is link.ErrNotRunning when there is nobody to ask.
func (p Promoter) Answering(ctx context.Context, r record.Record) (map[string]bool, error) {
	view, err := p.Links.View(ctx)
	if err != nil {
		return nil, err
	}
	answering := map[string]bool{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, m := range r.Members() {
		if v := view[m].Verdict; v == link.Alive || v == link.Lost {
			mu.Lock()
			answering[m] = v == link.Alive
			mu.Unlock()
			continue
		}
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			facts, err := p.Links.Beat(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			answering[m] = err == nil && facts.Healthy
		})
	}
	asking.Wait()
	return answering, nil
}

// Explain says what would follow if servers failed now. It changes nothing, and goes without knowing who answers when hafs-linkcheck does not run.
func (p Promoter) Explain(ctx context.Context, r record.Record, gone []string) (Explanation, error) {
	if err := askable(r, gone); err != nil {
		return Explanation{}, status(err)
	}
	answering, err := p.Answering(ctx, r)
	if err != nil && !errors.Is(err, link.ErrNotRunning) {
		return Explanation{}, err
	}
	left := slices.Concat(gone, silent(r, gone, answering))
	positions := repair.Unnumbered
	if err == nil { // else nobody can be asked, and what is explained is the order of the record
		_, positions = p.positions(ctx, r, func() []string { return left })
	}
	e, err := Explain(r, gone, answering, positions)
	return e, status(err)
}
