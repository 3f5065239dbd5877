package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
)

// shapeFlags say what shape is wanted; what is left out may be anything.
type shapeFlags struct {
	Paper   bool     `help:"The shape of the paper's experiment, all of it."`
	FS      string   `name:"fs" help:"File sharing server."`
	Pair    []string `help:"Who is in a pair, such as 1=W3/M2; * for anybody."`
	Failed  []string `help:"Exactly these are failed, or none."`
	Spare   []string `help:"Exactly these are spares, or none."`
	Trouble []string `help:"Exactly these places are in trouble, such as 1.drs2, or none."`
}

func (f shapeFlags) shape() (shape.Shape, error) {
	if f.Paper {
		return shape.Paper(), nil
	}
	s := shape.Shape{FS: f.FS, Pairs: map[int]record.Pair{}}
	for _, text := range f.Pair {
		n, p, err := shape.ParsePair(text)
		if err != nil {
			return s, err
		}
		s.Pairs[n] = p
	}
	var err error
	for _, list := range []struct {
		flag string
		from []string
		into *[]string
	}{{"failed", f.Failed, &s.Failed}, {"spare", f.Spare, &s.Spares}, {"trouble", f.Trouble, &s.Trouble}} {
		if *list.into, err = shape.ParseNames(list.from); err != nil {
			return s, fmt.Errorf("--%s: %w", list.flag, err)
		}
	}
	return s, nil
}

type awaitCommand struct {
	shapeFlags
	Complete bool          `help:"Every replica must be complete."`
	Within   time.Duration `help:"How long to wait." default:"10s"`
}

func (c *awaitCommand) Run(ctx context.Context, l *guests.Lab) error {
	wanted, err := c.shape()
	if err != nil {
		return err
	}
	b := experiment.Bench{Lab: l}
	started := time.Now()
	r, err := b.Await(ctx, wanted, c.Complete, c.Within)
	if err == nil {
		err = b.AwaitUse(r, c.Within)
	}
	if err != nil {
		return explain(ctx, l, err)
	}
	fmt.Printf("generation %d after %.2f s: %s\n", r.Generation, time.Since(started).Seconds(), shape.Of(r))
	return nil
}

type oracleCommand struct {
	Within time.Duration `help:"How long to wait until all is identical." default:"10s"`
}

func (c *oracleCommand) Run(ctx context.Context, l *guests.Lab) error {
	b := experiment.Bench{Lab: l}
	started := time.Now()
	if err := b.AwaitIdentical(ctx, c.Within); err != nil {
		return explain(ctx, l, err)
	}
	fmt.Printf("every replica is identical to the share after %.2f s\n", time.Since(started).Seconds())
	return nil
}

type restoreCommand struct {
	WithoutSpares bool `help:"The roles of the paper's section 5.2 instead: the spares are a fourth pair."`
}

func (c *restoreCommand) Run(ctx context.Context, l *guests.Lab) error {
	b := experiment.Bench{Lab: l}
	wanted := shape.Paper()
	if c.WithoutSpares {
		wanted = shape.WithoutSpares()
	}
	return explain(ctx, l, b.Restore(ctx, wanted))
}

// journalLines is how much of the journal of a guest is printed when it disappoints.
const journalLines = 40

// explain prints the journals of the guests that an error is about.
func explain(ctx context.Context, l *guests.Lab, err error) error {
	var d experiment.Disappointed
	if !errors.As(err, &d) {
		return err
	}
	for _, name := range d.Guests() {
		fmt.Fprintf(os.Stderr, "--- journal of %s\n", name)
		if err := witness.Journal(ctx, l, name, time.Time{}, journalLines, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	fmt.Fprintln(os.Stderr, "---")
	return err
}
