// hafs-probe looks at failed servers once and takes back those that are fit.
package main

import (
	"context"
	"errors"
	"fmt"

	"hafs/lib/cluster/promote"
	"hafs/lib/cluster/record"
	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
)

const about = `Looks at the failed servers once and takes back those that are fit: reachable, healthy, with the newest generation, and their copy brought up
to date. A server that is taken back fills a place in trouble (DRS1 places first), or else waits as a spare. hafs-linkcheck starts it
when a failed server reports itself fit, and hafs-probe.timer now and then.

Examples:
  hafs-probe            all failed servers
  hafs-probe M2         only M2
  hafs-probe --dry-run  say who would be taken back

Exit codes: 0 taken back, 1 not fit (the reason is printed) or failed, 3 refused, 4 no majority, 5 no server is failed.`

type cli struct {
	command.Common
	DryRun bool   `help:"Look and say, change nothing."`
	Name   string `arg:"" optional:"" help:"Only this server."`
}

func (c *cli) Run(ctx context.Context) error {
	settings, r, err := c.Record()
	if err != nil {
		return err
	}
	names := r.WithStatus(record.Failed)
	if c.Name != "" {
		names = []string{c.Name}
	}
	if len(names) == 0 {
		return exitcode.With(exitcode.Nothing, errors.New("no server is failed"))
	}
	p := promote.New(settings, c.Log(), c.DryRun)
	var failures []error
	for _, name := range names {
		if err := probe(ctx, p, r, name); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			continue
		}
		fmt.Println(name)
	}
	if len(failures) == 1 {
		return failures[0]
	}
	return errors.Join(failures...)
}

func probe(ctx context.Context, p promote.Promoter, r record.Record, name string) error {
	if r.Role(name) == record.RoleFailed {
		facts, err := p.Links.Beat(ctx, name)
		if err != nil {
			return fmt.Errorf("not reached: %w", err)
		}
		if reason := promote.Unfit(facts, r); reason != "" {
			return errors.New(reason)
		}
	}
	return p.Admit(ctx, name)
}

func main() { command.Main(about, &cli{}) }
