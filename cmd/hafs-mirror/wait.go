package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
	"hafs/lib/replication/mirror"
)

type waitCommand struct {
	Common  *command.Common `kong:"-"`
	Copies  int             `help:"Replicas that must have everything; 0: all." default:"0"`
	Timeout time.Duration   `help:"How long to wait." default:"10s"`
	Socket  string          `help:"Where hafs-mirror answers; by default in the run directory of the settings." placeholder:"PATH"`
}

// Validate is called by kong before anything happens.
func (c *waitCommand) Validate() error {
	if c.Copies < 0 || c.Timeout <= 0 {
		return errors.New("--copies and --timeout cannot be negative")
	}
	return nil
}

// Run is hafs-mirror wait.
func (c *waitCommand) Run(ctx context.Context) error {
	socket, err := socketOf(c.Common, c.Socket)
	if err != nil {
		return err
	}
	shown := onTerminal(os.Stderr)
	a, err := mirror.AskWatching(ctx, socket, mirror.Request{Copies: c.Copies, Timeout: c.Timeout}, func(a mirror.Answer) { shown.show(standing(a)) })
	shown.show(nil)
	switch {
	case err != nil:
		return err
	case a.Refused != "":
		return exitcode.With(exitcode.Refused, errors.New(a.Refused))
	case !a.OK:
		return fmt.Errorf("%s after %s; reached: %s; lagging: %s", a.Error, c.Timeout,
			orNone(a.Reached, " "), orNone(a.Lagging, "; "))
	}
	return nil
}

// standing is a line for each replica.
func standing(a mirror.Answer) []string {
	var lines []string
	for _, name := range a.Reached {
		lines = append(lines, name+": reached")
	}
	return append(lines, a.Lagging...)
}

func orNone(words []string, between string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, between)
}
