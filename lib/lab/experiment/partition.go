package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
	"hafs/lib/lab/workload"
)

// Partition is a network that is cut and healed while clients work on both sides. Nobody's power goes.
type Partition struct {
	Cuts    []guests.Cut
	For     time.Duration // how long the cuts last
	Clients []string      // guests on which a client works
}

// Split is the cuts between a group of guests and all others.
func Split(group []string) []guests.Cut {
	var cuts []guests.Cut
	for _, from := range group {
		for _, m := range guests.Members() {
			if !slices.Contains(group, m.Name) {
				cuts = append(cuts, guests.Cut{From: from, To: m.Name})
			}
		}
	}
	return cuts
}

// Divided is what came of a partition.
type Divided struct {
	Cuts         []string `json:"cuts"`
	Seconds      float64  `json:"cut_s"`
	FS           []string `json:"fs"`            // who was the file sharing server before and after
	Generations  uint64   `json:"generations"`   // how many were chosen meanwhile
	TwoAddresses int      `json:"two_addresses"` // looks at which more than one guest had the virtual address (I1)
	Looks        int      `json:"looks"`
	Whole        float64  `json:"whole_s"` // from healing until everybody was a member again and every replica complete
	Acknowledged int      `json:"acknowledged_files"`
	Lost         []string `json:"lost_files,omitempty"` // acknowledged to a client on either side, and missing or different now
	Failed       int      `json:"client_failed_ops"`
	Errors       []string `json:"errors,omitempty"` // of the first of them
}

// maxErrors is how many errors are shown.
const maxErrors = 5

// addressLook is how often the addresses are looked at.
const addressLook = 20 * time.Millisecond

// Divide cuts the network, heals it, waits until the cluster is whole again by itself, and compares what clients were told with what is there.
func (b *Bench) Divide(ctx context.Context, p Partition) (Divided, error) {
	result := Divided{Seconds: p.For.Seconds()}
	for _, c := range p.Cuts {
		result.Cuts = append(result.Cuts, c.String())
	}
	before, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, moveLimit)
	if err != nil {
		return result, fmt.Errorf("before the cut: %w", err)
	}
	var clients []*client
	for _, on := range p.Clients {
		if err := b.Prepare(ctx, on); err != nil {
			return result, err
		}
		c, err := b.startClient(ctx, on)
		if err != nil {
			return result, err
		}
		defer c.stop()
		clients = append(clients, c)
	}
	if err := pause(ctx, warmUp); err != nil {
		return result, err
	}
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for looking.Err() == nil {
			result.Looks++
			if len(witness.Holders(b.Lab, before.VirtualIP())) > 1 {
				result.TwoAddresses++
			}
			_ = pause(looking, addressLook)
		}
	}()
	for _, c := range p.Cuts {
		if err := b.Lab.Cut(ctx, c); err != nil {
			return result, err
		}
	}
	err = pause(ctx, p.For)
	healed := time.Now()
	if err := errors.Join(err, b.Lab.Heal(ctx)); err != nil {
		return result, err
	}
	after, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, returnLimit)
	result.Whole = time.Since(healed).Seconds()
	stopLooking()
	<-looked
	if err != nil {
		return result, fmt.Errorf("after the network was healed: %w", err)
	}
	result.FS = []string{before.FS.Name, after.FS.Name}
	result.Generations = after.Generation - before.Generation
	var logs [][]workload.Operation
	for _, c := range clients {
		log, err := c.stop()
		if err != nil {
			return result, err
		}
		logs = append(logs, log)
	}
	if err := b.AwaitIdentical(ctx, sameLimit); err != nil {
		return result, err
	}
	for i, c := range clients {
		if err := result.judge(b, after.FS.Name, c.directory, logs[i], healed); err != nil {
			return result, err
		}
		if err := b.run(ctx, after.FS.Name, "rm", "-rf", c.directory); err != nil {
			return result, err
		}
	}
	return result, nil
}

func (d *Divided) judge(b *Bench, fs, directory string, log []workload.Operation, healed time.Time) error {
	read, closeShare, err := witness.Reader(b.Lab, fs, directory)
	if err != nil {
		return err
	}
	defer closeShare()
	d.Acknowledged += len(workload.Acknowledged(log))
	for _, o := range log {
		if o.Outcome != workload.Good {
			if d.Failed++; len(d.Errors) < maxErrors {
				d.Errors = append(d.Errors, fmt.Sprintf("%s of %s: %s %s", o.Kind, o.File, o.Outcome, o.Error))
			}
		}
	}
	lost, err := workload.Lost(log, healed, read)
	for _, a := range append(lost.Before, lost.After...) {
		d.Lost = append(d.Lost, fmt.Sprintf("%s/%s acknowledged at %s", directory, a.File, a.At.Format(time.StampMilli)))
	}
	return err
}
