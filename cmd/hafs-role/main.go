// hafs-role makes this server be what the record says it is.
package main

import (
	"context"
	"fmt"
	"os"

	"hafs/lib/command"
	"hafs/lib/config"
	"hafs/lib/exitcode"
	"hafs/lib/record"
	"hafs/lib/role"
	"hafs/lib/system"
)

const about = `Makes this server be what the newest generation of the record says: where /system leads,
which mounts and services run, which sessions of peers may go on. hafs-role.path runs it when a generation was installed;
running it again is harmless.

Examples:
  hafs-role                          bring this server in line
  hafs-role --dry-run                list the steps it would take
  hafs-role check /tmp/hafs.yml      is this a good settings file?

Exit codes: 0 done, 1 a step failed (the journal says which), 3 refused: bad settings, 5 nothing to do (--dry-run only).`

type cli struct {
	command.Common
	Apply applyCommand `cmd:"" default:"withargs" help:"Bring this server in line with the record."`
	Check checkCommand `cmd:"" help:"Check a settings file."`
}

type applyCommand struct {
	DryRun bool `help:"List the steps, take none."`
}

func (a *applyCommand) Run(ctx context.Context, c *cli) error {
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	places := role.Places{Client: settings.Run("client"), Nowhere: settings.Run("no-share")}
	keeper := role.Keeper{Settings: settings, Machine: system.Machine{}, Log: c.Log(), Places: places}
	r, err := record.Store{Directory: settings.StateDirectory}.Current()
	if err != nil {
		return err
	}
	if !a.DryRun {
		if err := keeper.Prepare(r); err != nil {
			return err
		}
	}
	steps, err := keeper.Converge(ctx, a.DryRun)
	if a.DryRun && err == nil {
		for _, s := range steps {
			fmt.Println(s)
		}
		if len(steps) == 0 {
			return exitcode.With(exitcode.Nothing, fmt.Errorf("nothing to do: %s is %s as the record says", settings.Name, r.Role(settings.Name)))
		}
	}
	return err
}

type checkCommand struct {
	File string `arg:"" help:"Settings file."`
}

func (k *checkCommand) Run() error {
	if _, err := config.Load(k.File); err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	fmt.Fprintln(os.Stderr, k.File+" is fine")
	return nil
}

func main() {
	c := &cli{}
	command.Main(about, c)
}
