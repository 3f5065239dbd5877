// hafs-role makes this server be what the record says it is.
package main

import (
	"context"
	"fmt"
	"os"

	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/system"
	"hafs/lib/node/command"
	"hafs/lib/node/role"
)

const about = `Makes this server be what the newest generation of the record says: where /system leads,
which mounts and services run, which sessions of peers may go on. With --keep it is the service that does so whenever a generation was
installed; running it once more by hand is harmless.

Examples:
  hafs-role                          bring this server in line
  hafs-role --dry-run                list the steps it would take
  hafs-role --keep                   the service
  hafs-role check /tmp/hafs.yml      is this a good settings file?
  hafs-role mount-options            what hafs-client.service runs before sshfs

Exit codes: 0 done, 1 a step failed (the journal says which), 3 refused: bad settings or a bad record, 5 nothing to do (--dry-run only).`

type cli struct {
	command.Common
	Apply applyCommand `cmd:"" default:"withargs" help:"Bring this server in line with the record."`
	Check checkCommand `cmd:"" help:"Check a settings file."`

	MountOptions mountOptionsCommand `cmd:"" help:"Write which options the client mount needs of this machine's sshfs, for hafs-client.service."`
}

type applyCommand struct {
	DryRun bool `help:"List the steps, take none." xor:"how"`
	Keep   bool `help:"Be the service that follows the record." xor:"how"`
}

func (a *applyCommand) Run(ctx context.Context, c *cli) error {
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	places := role.Places{Client: settings.Run("client"), Nowhere: settings.Run("no-share")}
	keeper := role.Keeper{Settings: settings, Machine: system.Machine{}, Log: c.Log(), Places: places}
	if a.Keep {
		return keeper.Keep(ctx)
	}
	_, r, err := c.Record()
	if err != nil {
		return err
	}
	steps, err := keeper.Apply(ctx, a.DryRun)
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
		return err
	}
	fmt.Fprintln(os.Stderr, k.File+" is fine")
	return nil
}

type mountOptionsCommand struct{}

func (mountOptionsCommand) Run(ctx context.Context, c *cli) error {
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	return role.WriteMountOptions(ctx, system.Machine{}, settings.Run("client-options"))
}

func main() {
	c := &cli{}
	command.Main(about, c)
}
