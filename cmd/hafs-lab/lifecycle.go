package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"hafs/lib/lab/guests"
)

type upCommand struct {
	Tree   string `help:"Packed Debian tree to make new guests from; the newest in the lab's folder if not given." type:"path"`
	DryRun bool   `help:"Print what would be done, a line each, and do nothing."`
}

func (c *upCommand) Run(ctx context.Context, l *guests.Lab) error {
	if c.DryRun {
		return printPlan(l.PlanUp())
	}
	return l.Up(ctx, c.Tree)
}

type downCommand struct {
	DryRun bool `help:"Print what would be done, a line each, and do nothing."`
}

func (c *downCommand) Run(ctx context.Context, l *guests.Lab) error {
	if c.DryRun {
		return printPlan(l.PlanDown())
	}
	return l.Down(ctx)
}

func printPlan(steps []guests.Step, err error) error {
	for _, step := range steps {
		fmt.Println(step)
	}
	return err
}

type listCommand struct {
	JSON bool `help:"Print JSON."`
}

func (c *listCommand) Run(l *guests.Lab) error {
	states, err := l.States()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(states)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range states {
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\n", s.Name, s.Address, s.State, s.LeaderPID)
	}
	return out.Flush()
}
