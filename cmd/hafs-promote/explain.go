package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"hafs/lib/cluster/promote"
	"hafs/lib/host/exitcode"
)

type explainCommand struct {
	JSON  bool     `name:"json" help:"Print JSON."`
	Names []string `arg:"" name:"name" help:"Servers that would have failed."`
}

func (x *explainCommand) Run(ctx context.Context, c *cli) error {
	settings, r, err := c.Record()
	if err != nil {
		return err
	}
	e, err := promote.New(settings, c.Log(), true).Explain(ctx, r, x.Names)
	if err != nil {
		return err
	}
	if err := x.show(e); err != nil {
		return err
	}
	if !e.Votes.Enough {
		return exitcode.With(exitcode.Minority, fmt.Errorf("no majority would be left: %d of %d members, %d are needed", e.Votes.Left, len(e.Votes.Voters), e.Votes.Needed))
	}
	return nil
}

func (x *explainCommand) show(e promote.Explanation) error {
	if x.JSON {
		return json.NewEncoder(os.Stdout).Encode(e)
	}
	return e.Print(os.Stdout)
}
