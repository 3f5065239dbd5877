package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hafs/lib/command"
	"hafs/lib/exitcode"
	"hafs/lib/mirror"
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
		if _, share, wanted, err = byRecord(c.Common); err != nil {
			return err
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
