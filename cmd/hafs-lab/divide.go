package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
)

type divideCommand struct {
	benchFlags
	Names   []string      `arg:"" optional:"" name:"guest" help:"Guests that are cut off from all others, but not from each other."`
	Path    []string      `help:"Cut only the path between two guests." placeholder:"A-B"`
	For     time.Duration `help:"How long the network is cut." default:"8s"`
	Clients []string      `help:"Guests on which clients work." default:"W2,L2"`
}

func (c *divideCommand) Run(ctx context.Context, l *guests.Lab) error {
	p := experiment.Partition{For: c.For, Clients: c.Clients}
	if _, err := guests.FindAll(c.Names); err != nil {
		return err
	}
	if len(c.Names) > 0 {
		p.Cuts = experiment.Split(c.Names)
	}
	for _, path := range c.Path {
		from, to, two := strings.Cut(path, "-")
		if _, err := guests.FindAll([]string{from, to}); err != nil || !two {
			return errors.Join(fmt.Errorf("%q is not the path between two guests", path), err)
		}
		p.Cuts = append(p.Cuts, guests.Cut{From: from, To: to})
	}
	if len(p.Cuts) == 0 {
		return errors.New("nothing to cut: name guests, or paths")
	}
	b, err := c.bench(l)
	if err != nil {
		return err
	}
	result, err := b.Divide(ctx, p)
	if err != nil {
		return explain(ctx, l, err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(result); err != nil {
		return err
	}
	switch {
	case result.TwoAddresses > 0:
		return fmt.Errorf("two guests had the virtual address at %d of %d looks", result.TwoAddresses, result.Looks)
	case len(result.Lost) > 0:
		return fmt.Errorf("%d files that were acknowledged are lost", len(result.Lost))
	}
	return nil
}
