package main

import (
	"context"
	"fmt"
	"time"

	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
)

type tortureCommand struct {
	benchFlags
	For  time.Duration `help:"How long." default:"30m"`
	Seed uint64        `help:"Chooses what fails, and how." default:"1"`
}

func (c *tortureCommand) Help() string {
	return `Servers are killed, frozen, cut off, or their toolkit hangs, one after the other while a client works, and come back. Ends with 1 when
an operation failed, an acknowledged file is lost, or hafs-status calls something wrong 5 s after all is whole again.`
}

func (c *tortureCommand) Run(ctx context.Context, l *guests.Lab) error {
	b, err := c.bench(l)
	if err != nil {
		return err
	}
	if err := b.Prepare(ctx, c.Client); err != nil {
		return err
	}
	rounds := 0
	err = b.Torture(ctx, experiment.Torture{For: c.For, Seed: c.Seed, Progress: func(r experiment.Round) {
		rounds++
		fmt.Printf("%4d  %-6s %-3s %-5s recovered after %5.2f s, outage %5.2f s, %5d operations, back after %5.1f s\n",
			rounds, r.How, r.Failed, r.Role, r.Recovered, r.ClientOutage, r.ClientOps, r.Returned)
	}})
	if err != nil {
		return explain(ctx, l, err)
	}
	fmt.Printf("%d failures and returns: nothing failed, nothing was lost, and nothing was called wrong that was whole\n", rounds)
	return nil
}
