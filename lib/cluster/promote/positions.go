package promote

import (
	"context"
	"errors"
	"slices"
	"time"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/config"
)

// located is one replica's answer.
type located struct {
	name     string
	position repair.Position
}

// positions asks the replicas how far they are, if one of them has to succeed the file sharing server, until Located. lost tells who is gone: whoever does
// not answer because it has failed with the others will be soon. It returns who is gone by then.
func (p Promoter) positions(ctx context.Context, r record.Record, lost func() []string) ([]string, repair.Positions) {
	gone := lost()
	if !slices.Contains(gone, r.FS.Name) || p.Settings.Transport == config.TransportPaper {
		return gone, repair.Unnumbered
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, LocatePatience)
	defer cancel()
	positions, answers := repair.Positions{}, make(chan located)
	for _, pair := range r.Pairs {
		for _, name := range []string{pair.DRS1, pair.DRS2} {
			if name != record.Trouble && !slices.Contains(gone, name) {
				go p.locate(ctx, name, answers)
			}
		}
	}
	look := time.NewTicker(LocatePause)
	defer look.Stop()
	for !Located(r, gone, positions, time.Since(began)) {
		select {
		case a := <-answers:
			positions[a.name] = a.position
		case <-look.C:
			gone = lost()
		case <-ctx.Done():
			return gone, positions
		}
	}
	return gone, positions
}

// locate asks one replica until it answers: a link that has just broken is there again soon.
func (p Promoter) locate(ctx context.Context, name string, answers chan<- located) {
	for ctx.Err() == nil {
		position, err := p.Links.Locate(ctx, name)
		if err == nil {
			a := located{name, repair.None}
			if position != nil {
				a.position = *position
			}
			select {
			case answers <- a:
			case <-ctx.Done():
			}
			return
		}
		if errors.Is(err, link.ErrNotRunning) {
			return
		}
		select {
		case <-time.After(LocatePause):
		case <-ctx.Done():
		}
	}
}
