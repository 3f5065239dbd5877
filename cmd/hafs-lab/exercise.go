package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"hafs/lib/lab/exercise"
	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
)

type exerciseCommand struct {
	Names  []string      `arg:"" optional:"" name:"exercise" help:"Which; all if none is given."`
	On     []string      `help:"Guests to do them on, one after the other." default:"L1,W2"`
	Within time.Duration `help:"How long after each until all replicas are identical; six times as long after those of 10,000 files." default:"10s"`
	List   bool          `help:"List them, and do nothing."`
}

func (c *exerciseCommand) Run(ctx context.Context, l *guests.Lab) error {
	wanted := exercise.All()
	if len(c.Names) > 0 {
		wanted = nil
	}
	for _, name := range c.Names {
		e, err := exercise.Find(name)
		if err != nil {
			return err
		}
		wanted = append(wanted, e)
	}
	if c.List {
		for _, e := range wanted {
			fmt.Printf("%-18s %s\n", e.Name, e.What)
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := experiment.Bench{Lab: l, Program: self}
	for _, on := range c.On {
		if err := b.Exercises(ctx, on, wanted, c.Within); err != nil {
			return explain(ctx, l, err)
		}
	}
	return nil
}

// performCommand runs on a guest.
type performCommand struct {
	Directory string `arg:"" help:"Folder in which the exercise gets a folder of its own."`
	Name      string `arg:"" name:"exercise" help:"Which."`
}

func (c *performCommand) Run() error {
	e, err := exercise.Find(c.Name)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.Directory, e.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return e.Do(dir)
}
