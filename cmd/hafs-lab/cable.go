package main

import (
	"context"
	"errors"

	"hafs/lib/lab/guests"
)

type cutCommand struct {
	From   string `arg:"" help:"The guest whose cable is cut."`
	To     string `arg:"" optional:"" help:"Cut only the path to this guest."`
	OneWay bool   `help:"Drop only what the first guest sends to the second."`
}

func (c *cutCommand) Run(ctx context.Context, l *guests.Lab) error {
	names := []string{c.From}
	if c.To != "" {
		names = append(names, c.To)
	}
	if _, err := guests.FindAll(names); err != nil {
		return err
	}
	if c.OneWay && c.To == "" || c.From == c.To {
		return errors.New("cut: name two guests")
	}
	return l.Cut(ctx, guests.Cut{From: c.From, To: c.To, OneWay: c.OneWay})
}

type healCommand struct {
	Names []string `arg:"" optional:"" name:"guest" help:"Only the cuts that touch these guests."`
}

func (c *healCommand) Run(ctx context.Context, l *guests.Lab) error {
	if _, err := guests.FindAll(c.Names); err != nil {
		return err
	}
	return l.Heal(ctx, c.Names...)
}
