package main

import (
	"context"
	"encoding/json"
	"os"

	"hafs/lib/lab/guests"
)

type moveCommand struct {
	benchFlags
	To string `arg:"" name:"guest" help:"The DRS1 that becomes the file sharing server."`
}

func (c *moveCommand) Run(ctx context.Context, l *guests.Lab) error {
	b, err := c.bench(l)
	if err != nil {
		return err
	}
	if err := b.Prepare(ctx, c.Client); err != nil {
		return err
	}
	moved, err := b.Move(ctx, c.To)
	if err != nil {
		return explain(ctx, l, err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(moved); err != nil {
		return err
	}
	return moved.Err()
}
