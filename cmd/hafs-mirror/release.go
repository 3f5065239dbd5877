package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
	"hafs/lib/replication/mirror"
)

type releaseCommand struct {
	Common *command.Common `kong:"-"`
	Name   string          `arg:"" optional:"" help:"The replica; by default all that hold deletes back."`
	DryRun bool            `help:"Say how many deletes are held back; let none go."`
	Socket string          `help:"Where hafs-mirror answers; by default in the run directory of the settings." placeholder:"PATH"`
}

// releasePatience bounds the wait for an answer.
const releasePatience = 10 * time.Second

// Run is hafs-mirror release.
func (c *releaseCommand) Run(ctx context.Context) error {
	socket, err := socketOf(c.Common, c.Socket)
	if err != nil {
		return err
	}
	a, err := mirror.Ask(ctx, socket, mirror.Request{Release: true, DryRun: c.DryRun, Replica: c.Name, Timeout: releasePatience})
	switch {
	case err != nil:
		return err
	case a.Refused != "":
		return exitcode.With(exitcode.Refused, errors.New(a.Refused))
	case len(a.Held) == 0:
		return exitcode.With(exitcode.Nothing, errors.New("no deletes are held back here"))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Held)) {
		fmt.Printf("%s %d\n", name, a.Held[name])
	}
	return nil
}

// socketOf is where the running hafs-mirror answers.
func socketOf(common *command.Common, socket string) (string, error) {
	if socket != "" {
		return socket, nil
	}
	settings, err := common.Settings()
	return settings.Run("mirror.sock"), err
}
