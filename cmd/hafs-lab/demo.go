package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
)

// benchFlags are common to what measures.
type benchFlags struct {
	Client string `help:"Guest the measuring client runs on." default:"W2"`
}

// bench uses this very program on the guest, so it has to be linked statically.
func (f benchFlags) bench(l *guests.Lab) (experiment.Bench, error) {
	self, err := os.Executable()
	return experiment.Bench{Lab: l, Program: self, Client: f.Client}, err
}

type demoCommand struct {
	benchFlags
	Runs    int    `help:"How often each server fails." default:"3"`
	Returns int    `help:"Rounds without spares, as in the paper's section 5.2; 0: none." default:"1"`
	Out     string `help:"Folder for the report and the pictures." default:"build/demo" type:"path"`
}

func (c *demoCommand) Run(ctx context.Context, l *guests.Lab) error {
	b, err := c.bench(l)
	if err != nil {
		return err
	}
	d := experiment.Demo{Bench: b, Rounds: c.Runs, Returns: c.Returns, Out: c.Out}
	report, err := d.Run(ctx)
	if err != nil {
		return explain(ctx, l, err)
	}
	return report.Print(os.Stdout)
}

type reportCommand struct {
	File string `arg:"" optional:"" help:"Report of the demo." default:"build/demo/report.json" type:"path"`
}

func (c *reportCommand) Run() error {
	r, err := experiment.LoadReport(c.File)
	if err != nil {
		return err
	}
	return r.Print(os.Stdout)
}

type breakCommand struct {
	benchFlags
	How       string        `arg:"" enum:"kill,freeze,cut,hang" help:"kill, freeze, cut, or hang (HAFS's own programs stop, the server works)."`
	Names     []string      `arg:"" name:"guest" help:"Guests that fail at once."`
	Then      []string      `help:"Guests that fail after them, while the repair is under way."`
	After     time.Duration `help:"How long after." default:"2s"`
	MaxOutage time.Duration `help:"Fail when the client waited longer."`
	MaxLost   int           `help:"Fail when more acknowledged files were lost; -1: any number." default:"-1"`
}

func (c *breakCommand) Run(ctx context.Context, l *guests.Lab) error {
	b, err := c.bench(l)
	if err != nil {
		return err
	}
	if err := b.Prepare(ctx, c.Client); err != nil {
		return err
	}
	run, err := b.Trial(ctx, experiment.How(c.How), experiment.Second{Names: c.Then, After: c.After}, c.Names...)
	if err != nil {
		return explain(ctx, l, err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(run); err != nil {
		return err
	}
	switch {
	case c.MaxOutage > 0 && run.ClientOutage > c.MaxOutage.Seconds():
		return fmt.Errorf("the client waited %.2f s, longer than %s", run.ClientOutage, c.MaxOutage)
	case run.LostOlderThan1s+run.LostAcknowledged+run.LostDifferent > 0:
		return fmt.Errorf("files were lost that should not have been: %d acknowledged more than 1 s before the failure, %d after it, %d hold other bytes",
			run.LostOlderThan1s, run.LostAcknowledged, run.LostDifferent)
	case c.MaxLost >= 0 && run.LostFiles > c.MaxLost:
		return fmt.Errorf("%d acknowledged files were lost, more than %d", run.LostFiles, c.MaxLost)
	}
	return nil
}
