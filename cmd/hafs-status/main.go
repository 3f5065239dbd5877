// hafs-status shows an operator the cluster, what is wrong with it, and what to do.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
	"hafs/lib/node/status"
)

const about = `Shows the cluster: who does what since when, how far the replicas are, what is wrong and what to do about it. It works on every member.

Examples:
  hafs-status
  hafs-status --watch
  hafs-status --json | jq .findings

Exit codes: 0 all is well (there may be notes), 1 something is wrong, or the state cannot be told, 3 refused: bad settings or a bad record.`

type cli struct {
	command.Common
	JSON  bool `name:"json" help:"Print JSON."`
	Watch bool `help:"Show again every second until interrupted."`
}

func (c *cli) Run(ctx context.Context) error {
	settings, _, err := c.Record()
	if err != nil {
		return err
	}
	store := record.Store{Directory: settings.StateDirectory}
	for {
		r, err := store.Current()
		if err != nil {
			return err
		}
		answers := status.Gather(ctx, settings, r)
		switch { // whoever was asked last had no time to answer
		case ctx.Err() != nil && c.Watch:
			return nil
		case ctx.Err() != nil:
			return errors.New("interrupted: the state cannot be told")
		}
		report := status.Compile(r, settings.Name, answers, time.Now())
		if err := c.show(report); err != nil {
			return err
		}
		if !c.Watch {
			if report.Grave() {
				return exitcode.With(exitcode.Failed, errors.New("something is wrong, see above"))
			}
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *cli) show(report status.Report) error {
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	var screen bytes.Buffer
	if c.Watch {
		screen.WriteString("\x1b[H\x1b[2J")
	}
	if err := report.Print(&screen, time.Now()); err != nil {
		return err
	}
	_, err := os.Stdout.Write(screen.Bytes())
	return err
}

func main() { command.Main(about, &cli{}) }
