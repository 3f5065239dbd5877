package main

import (
	"context"

	"hafs/lib/lab/guests"
)

// named are the names a command takes. Every name is looked up before the first guest is touched.
type named struct {
	Names []string `arg:"" name:"guest" help:"Names of guests, such as W3."`
}

func (g named) each(ctx context.Context, do func(context.Context, guests.Member) error) error {
	members, err := guests.FindAll(g.Names)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := do(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

type (
	startCommand  struct{ named }
	stopCommand   struct{ named }
	killCommand   struct{ named }
	freezeCommand struct{ named }
	thawCommand   struct{ named }
)

// Run starts all of them before it waits for the first.
func (c *startCommand) Run(ctx context.Context, l *guests.Lab) error {
	members, err := guests.FindAll(c.Names)
	if err != nil {
		return err
	}
	return l.Start(ctx, members...)
}

func (c *stopCommand) Run(ctx context.Context, l *guests.Lab) error   { return c.each(ctx, l.Stop) }
func (c *killCommand) Run(ctx context.Context, l *guests.Lab) error   { return c.each(ctx, l.Kill) }
func (c *freezeCommand) Run(ctx context.Context, l *guests.Lab) error { return c.each(ctx, l.Freeze) }
func (c *thawCommand) Run(ctx context.Context, l *guests.Lab) error   { return c.each(ctx, l.Thaw) }
