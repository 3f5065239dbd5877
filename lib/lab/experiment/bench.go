// Package experiment breaks servers of a cluster in the lab and measures what follows, as the paper did: how long until the others
// notice, how long until the structure is whole again, and what a client at work saw of it.
//
// It promises to be strict: a structure counts as restored when every member has the new generation and its role in it, and every replica that
// got another feeder is complete. Times come from the guests' own journals; all guests share the machine's clock. milestone.go, statistics.go,
// table.go and picture.go are pure.
package experiment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
)

// Bench is a lab with a cluster on its guests.
type Bench struct {
	Lab     *guests.Lab
	Program string // this program, linked statically: it is the client on a guest
	Client  string // the guest the client runs on

	Interval time.Duration // from the start of one operation of the client to that of the next; 0: 20 ms, less than 0: no pause
	Jitter   time.Duration // failures come up to so much later, by chance
	Patience time.Duration // how much longer than with a small share a structure may take to be whole, and replicas to be identical
}

func (b *Bench) interval() time.Duration {
	if b.Interval == 0 {
		return interval
	}
	return max(b.Interval, 0)
}

const (
	lookPause   = 50 * time.Millisecond
	returnLimit = 60 * time.Second // for a server to be taken back
	moveLimit   = 30 * time.Second // for a planned change
	// onGuest is where the client is put on its guest, outside the share.
	onGuest    = "/var/lib/hafs-lab"
	programOn  = onGuest + "/hafs-lab"
	clientWork = "client"
)

// Disappointed is the error of a wait that was in vain.
type Disappointed struct {
	Limit time.Duration
	What  []witness.Disappointment
}

func (d Disappointed) Error() string {
	var lines []string
	for _, w := range d.What {
		lines = append(lines, w.String())
	}
	return fmt.Sprintf("not within %s: %s", d.Limit, strings.Join(lines, "; "))
}

// Guests names the guests that are concerned.
func (d Disappointed) Guests() []string {
	var names []string
	for _, w := range d.What {
		if w.Guest != "" && !slices.Contains(names, w.Guest) {
			names = append(names, w.Guest)
		}
	}
	return names
}

// Await waits until the cluster has a shape, whatever else is asked for, and returns the record it has then.
func (b *Bench) Await(ctx context.Context, wanted shape.Shape, complete bool, within time.Duration) (record.Record, error) {
	deadline := time.Now().Add(within)
	for {
		sights, err := witness.Look(b.Lab)
		if err != nil {
			return record.Record{}, err
		}
		r, _ := witness.Newest(sights)
		missing := witness.Disappointments(sights, wanted, complete)
		if len(missing) == 0 {
			return r, nil
		}
		if time.Now().After(deadline) {
			return r, Disappointed{within, missing}
		}
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
}

// AwaitUse waits until /system can be written and read on every member.
func (b *Bench) AwaitUse(r record.Record, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		missing := witness.Use(b.Lab, r)
		if len(missing) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return Disappointed{within, missing}
		}
		time.Sleep(lookPause)
	}
}

// AwaitIdentical waits until every replica is identical to the share.
func (b *Bench) AwaitIdentical(ctx context.Context, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		sights, err := witness.Look(b.Lab)
		if err != nil {
			return err
		}
		r, found := witness.Newest(sights)
		if !found {
			return errors.New("no guest has a record")
		}
		differences, err := witness.Compare(ctx, b.Lab, r)
		if err != nil {
			return err
		}
		if len(differences) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return Disappointed{within, unlike(r, differences)}
		}
		select {
		case <-time.After(4 * lookPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// maxItems bounds how many differences of one replica are printed.
const maxItems = 20

func unlike(r record.Record, differences []witness.Difference) []witness.Disappointment {
	var all []witness.Disappointment
	for _, d := range differences {
		shown := d.Items[:min(len(d.Items), maxItems)]
		text := fmt.Sprintf("differs from %s in %d ways:\n  %s", r.FS.Name, len(d.Items), strings.Join(shown, "\n  "))
		all = append(all, witness.Disappointment{Guest: d.Replica, Text: text})
	}
	return all
}

// Milestones reads the journals of guests since a moment.
func (b *Bench) Milestones(ctx context.Context, names []string, since time.Time) ([]Milestone, error) {
	var mu sync.Mutex
	var all []Milestone
	var failures []error
	var group sync.WaitGroup
	for _, name := range names {
		group.Go(func() {
			var text bytes.Buffer
			err := witness.Journal(ctx, b.Lab, name, since, 0, &text)
			found, readErr := ReadMilestones(name, &text)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
			failures = append(failures, err, readErr)
		})
	}
	group.Wait()
	return all, errors.Join(failures...)
}

// Restore brings the cluster to a shape that names everybody, whatever was broken: heals, thaws and starts guests, waits until all are
// taken back, and then moves roles by planned changes. No client may be writing: replicas are compared with the share before FS moves.
func (b *Bench) Restore(ctx context.Context, wanted shape.Shape) error {
	if err := b.mend(ctx); err != nil {
		return err
	}
	nobody := shape.Shape{Failed: []string{}}
	r, err := b.Await(ctx, nobody, true, returnLimit+b.Patience)
	if err != nil {
		return fmt.Errorf("wait until everybody is taken back: %w", err)
	}
	for {
		next, done, err := shape.Next(r, wanted)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		if next.FS.Name != r.FS.Name {
			if err := b.AwaitIdentical(ctx, moveLimit+b.Patience); err != nil {
				return fmt.Errorf("before FS moves to %s: %w", next.FS.Name, err)
			}
		}
		b.Lab.Log.Info().Uint64("generation", next.Generation).Str("wanted", shape.Of(next).String()).Msg("planned change")
		if err := b.apply(ctx, r.FS.Name, next); err != nil {
			return err
		}
		if r, err = b.Await(ctx, shape.Of(next), true, moveLimit+b.Patience); err != nil {
			return fmt.Errorf("after a planned change: %w", err)
		}
	}
}

// mend undoes what can be undone from outside.
func (b *Bench) mend(ctx context.Context) error {
	if err := b.Lab.Heal(ctx); err != nil {
		return err
	}
	states, err := b.Lab.States()
	if err != nil {
		return err
	}
	var down []guests.Member
	for _, s := range states {
		m, err := guests.Find(s.Name)
		if err != nil {
			return err
		}
		switch s.State {
		case "frozen":
			if err := b.Lab.Thaw(ctx, m); err != nil {
				return err
			}
		case "down":
			down = append(down, m)
		}
	}
	return b.Lab.Start(ctx, down...)
}

// apply has the servers agree on a record, by hafs-promote on FS, which alone may hand its role over.
func (b *Bench) apply(ctx context.Context, on string, next record.Record) error {
	texts, err := next.Encode()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hafs-next-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	m, err := guests.Find(on)
	if err != nil {
		return err
	}
	target := fmt.Sprintf("/run/hafs-lab/generation-%d", next.Generation)
	if err := b.Lab.Push(ctx, m, dir, target); err != nil {
		return err
	}
	return b.run(ctx, on, "hafs-promote", "apply", target)
}

// run runs a command on a guest; what it printed becomes part of the error.
func (b *Bench) run(ctx context.Context, on string, command ...string) error {
	m, err := guests.Find(on)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	status, err := b.Lab.Exec(ctx, m, command, guests.Streams{Out: &said, Err: &said})
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d: %s", status, bytes.TrimSpace(said.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("%s on %s: %w", command[0], on, err)
	}
	return nil
}

func join(names []string) string { return strings.Join(names, ", ") }
