package promote

import (
	"context"
	"slices"
	"sync"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// locatePatience bounds how long a replica may take to say how far it is: clients wait for a successor. The links are warm.
const locatePatience = 300 * time.Millisecond

// positions asks the replicas that are not gone how far their copies are, if one of them has to succeed the file sharing server. Who does not say is
// taken to be behind all others.
func (p Promoter) positions(ctx context.Context, r record.Record, gone []string) repair.Positions {
	if !slices.Contains(gone, r.FS.Name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, locatePatience)
	defer cancel()
	positions := repair.Positions{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, pair := range r.Pairs {
		for _, name := range []string{pair.DRS1, pair.DRS2} {
			if name == record.Trouble || slices.Contains(gone, name) {
				continue
			}
			asking.Go(func() {
				position, err := p.Links.Locate(ctx, name)
				if err != nil || position == nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				positions[name] = *position
			})
		}
	}
	asking.Wait()
	return positions
}

// Complete takes all replicas for complete, whatever they say: what --force does when none is.
func Complete(positions repair.Positions) repair.Positions {
	all := repair.Positions{}
	for name, p := range positions {
		p.Complete = true
		all[name] = p
	}
	return all
}
