package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"

	"hafs/lib/host/exitcode"
	"hafs/lib/lab/guests"
)

type execCommand struct {
	Guest   string   `arg:"" help:"Name of the guest."`
	Command []string `arg:"" passthrough:"" help:"The command and its arguments."`
}

func (c *execCommand) Run(ctx context.Context, l *guests.Lab) error {
	m, err := guests.Find(c.Guest)
	if err != nil {
		return err
	}
	status, err := l.Exec(ctx, m, withoutDashes(c.Command), guests.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	switch {
	case errors.Is(err, guests.ErrFrozen):
		return exitcode.With(exitcode.Refused, err)
	case err != nil:
		return err
	}
	os.Exit(status)
	return nil
}

type pushCommand struct {
	Guest  string `arg:"" help:"Name of the guest."`
	Source string `arg:"" help:"File or folder of this machine." type:"existingpath"`
	Target string `arg:"" help:"Name it gets on the guest."`
}

func (c *pushCommand) Run(ctx context.Context, l *guests.Lab) error {
	m, err := guests.Find(c.Guest)
	if err != nil {
		return err
	}
	return l.Push(ctx, m, c.Source, c.Target)
}

type sshCommand struct {
	Guest   string   `arg:"" help:"Name of the guest."`
	Command []string `arg:"" optional:"" passthrough:"" help:"The command; a login without one."`
}

// Run becomes ssh, so that its terminal, signals and exit status are this program's.
func (c *sshCommand) Run(l *guests.Lab) error {
	m, err := guests.Find(c.Guest)
	if err != nil {
		return err
	}
	command := l.SSH(m, withoutDashes(c.Command))
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, command, os.Environ())
}

// withoutDashes drops the "--" that may stand before a command.
func withoutDashes(command []string) []string {
	if len(command) > 0 && command[0] == "--" {
		return command[1:]
	}
	return command
}
