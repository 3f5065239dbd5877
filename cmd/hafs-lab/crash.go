package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"hafs/lib/lab/guests"
)

type crashCommand struct {
	benchFlags
	Service string        `arg:"" help:"Unit whose main process is killed."`
	Names   []string      `arg:"" name:"guest" help:"Guests on which it is."`
	Times   int           `help:"How often on each." default:"8"`
	Every   time.Duration `help:"From one time to the next, unless the service takes longer to come back." default:"1s"`
}

func (c *crashCommand) Run(ctx context.Context, l *guests.Lab) error {
	if _, err := guests.FindAll(c.Names); err != nil {
		return err
	}
	b, err := c.bench(l)
	if err != nil {
		return err
	}
	if err := b.Prepare(ctx, c.Client); err != nil {
		return err
	}
	crashed, err := b.Crash(ctx, c.Service, c.Times, c.Every, c.Names...)
	if err != nil {
		return explain(ctx, l, err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(crashed); err != nil {
		return err
	}
	return crashed.Err()
}
