package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"hafs/lib/host/exitcode"
	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/witness"
)

type soakCommand struct {
	For         time.Duration `help:"How long." default:"30m"`
	Examination time.Duration `help:"The examination time that the guests must have been deployed with; 'make soak' deploys it. Another one is refused." default:"500ms"`
	Clients     []string      `help:"Guests on which clients work." default:"W2,M3"`
	Interval    time.Duration `help:"From the start of one operation of a client to that of the next; 0s is without a pause." default:"0s"`
	Every       time.Duration `help:"Between two lines of progress." default:"30s"`
	JSON        bool          `help:"Print the result as JSON."`
}

func (c *soakCommand) Help() string {
	return `Nothing is made to fail. Ends with 1 when an operation failed, a server was called lost, a lease was lost, a
generation was chosen, or an acknowledged file is missing or different at the end.`
}

func (c *soakCommand) Run(ctx context.Context, l *guests.Lab) error {
	if _, err := guests.FindAll(c.Clients); err != nil {
		return err
	}
	if c.For <= 0 || c.Every <= 0 || c.Interval < 0 || len(c.Clients) == 0 {
		return errors.New("soak: durations must be positive, and there must be a client")
	}
	sights, err := witness.Look(l)
	if err != nil {
		return err
	}
	for _, s := range sights {
		if s.Settings.ExaminationTime != c.Examination {
			return exitcode.With(exitcode.Refused, fmt.Errorf("%s has an examination time of %s, not %s: deploy with make lab-up EXAMINATION=%s, or say --examination",
				s.Name, s.Settings.ExaminationTime, c.Examination, c.Examination))
		}
	}
	b, err := benchFlags{}.bench(l)
	if err != nil {
		return err
	}
	result, err := b.Soak(ctx, experiment.Soak{For: c.For, Interval: c.Interval, Clients: c.Clients, Every: c.Every, Progress: func(s experiment.Soaked) {
		l.Log.Info().Msgf("%4.0f s: %d operations, %d failed, slowest %.2f s (%.2f s since the last line); %d times lost, %d leases lost",
			s.Seconds, s.Operations, s.Failed, s.SlowestS, s.SlowestLateS, s.Lost, s.LeaseLost)
	}})
	if err != nil {
		return explain(ctx, l, err)
	}
	if err := c.print(result); err != nil {
		return err
	}
	return result.Verdict()
}

func (c *soakCommand) print(s experiment.Soaked) error {
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(s)
	}
	fmt.Printf("examination time %.2f s, %.0f s: %d operations, %d failed, slowest %.2f s; %d times a server was called lost, %d leases lost, %d generations chosen, %d acknowledged files lost\n",
		s.ExaminationTimeS, s.Seconds, s.Operations, s.Failed, s.SlowestS, s.Lost, s.LeaseLost, s.Generations, s.LostFiles)
	for _, e := range s.Errors {
		fmt.Println("  " + e)
	}
	for _, m := range s.Events {
		fmt.Printf("  %s %s: %s %s\n", m.Time.Format(time.StampMilli), m.Guest, m.Event, m.Peer)
	}
	return nil
}
