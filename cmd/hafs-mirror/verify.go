package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
	"hafs/lib/replication/mirror"
)

type verifyCommand struct {
	Common *command.Common `kong:"-"`
	targets
}

// Run is hafs-mirror verify.
func (c *verifyCommand) Run(ctx context.Context) error {
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	share, service := c.Share, false
	if share == "" || len(wanted) == 0 {
		if share != "" || len(wanted) > 0 {
			return errors.New("--share and --to or --rsync-to go together")
		}
		var settings config.Settings
		if settings, share, wanted, err = byRecord(c.Common); err != nil {
			return err
		}
		if settings.Transport == config.TransportStream && len(wanted) > 0 {
			return c.ask(ctx, settings.Run("mirror.sock"))
		}
		service = true
	}
	if len(wanted) == 0 {
		return exitcode.With(exitcode.Nothing, errors.New("this server keeps no replicas"))
	}
	root, err := openShare(share)
	if err != nil {
		return err
	}
	defer root.Close()
	differences := 0
	var problems []error
	for _, w := range wanted {
		lines, err := verify(ctx, c.transport(root, w, service, 0, c.Common.Log()))
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", w.Name, err))
		}
		for _, line := range lines {
			printLine(w.Name, line)
		}
		differences += len(lines)
	}
	if err := errors.Join(problems...); err != nil {
		return refused(err)
	}
	if differences > 0 {
		return fmt.Errorf("%d differences", differences)
	}
	return nil
}

// comparePatience bounds a comparison that the running hafs-mirror makes.
const comparePatience = time.Hour

// ask has the running hafs-mirror compare, which has the only streams that its replicas take.
func (c *verifyCommand) ask(ctx context.Context, socket string) error {
	a, err := mirror.Ask(ctx, socket, mirror.Request{Verify: true, Timeout: comparePatience})
	if err != nil {
		return err
	}
	differences := 0
	for _, name := range slices.Sorted(maps.Keys(a.Differences)) {
		for _, d := range a.Differences[name] {
			printLine(name, strings.TrimSpace(d.String()))
			differences++
		}
	}
	switch {
	case !a.OK:
		return errors.New(strings.Join(a.Lagging, "; "))
	case differences > 0:
		return fmt.Errorf("%d differences", differences)
	}
	return nil
}

func verify(ctx context.Context, t mirror.Transport) ([]string, error) {
	defer t.Close()
	if r, is := t.(*mirror.Rsync); is {
		return r.Verify(ctx)
	}
	found, err := t.(*mirror.Directory).Verify(ctx)
	var lines []string
	for _, d := range found {
		lines = append(lines, strings.TrimSpace(d.String()))
	}
	return lines, err
}
