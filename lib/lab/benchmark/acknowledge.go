package benchmark

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const acknowledgeInterval = 20 * time.Millisecond

// acknowledge measures how long a client's small write takes, of HAFS in both of its ways to answer.
func acknowledge(ctx context.Context, r *run, s Subject) error {
	ours, is := s.(*hafs)
	if !is {
		return r.acknowledge(ctx, s, s, "acknowledge")
	}
	for _, way := range []string{"local", "drs1"} {
		ours.acknowledge = way
		if err := ours.set(ctx, r.Field); err != nil {
			return err
		}
		if err := r.acknowledge(ctx, s, named{s, s.Name() + ", " + way}, "acknowledge-"+way); err != nil {
			return err
		}
	}
	return nil
}

// named is a subject under another name.
type named struct {
	Subject
	name string
}

func (n named) Name() string { return n.name }

func (r *run) acknowledge(ctx context.Context, s, as Subject, folder string) error {
	mount, is := s.(mounted)
	if !is {
		return fmt.Errorf("%s has no way for a client to use it", s.Name())
	}
	at, err := mount.Mount(ctx, r.Field)
	if err != nil {
		return err
	}
	done, err := r.errand(ctx, at.Guest, "series", at.Below(folder), "--files", strconv.Itoa(r.Files), "--interval", acknowledgeInterval.String())
	if err != nil {
		return err
	}
	var took []float64
	for _, d := range done {
		took = append(took, float64(d.Ended-d.Begun)/1e6)
	}
	r.add(as, "acknowledge", "write", "ms", took...)
	return nil
}
