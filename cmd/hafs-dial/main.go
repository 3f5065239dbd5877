// hafs-dial is the ssh command of sshfs mounts and of rsync; with --keep it is the service that keeps the connections.
package main

import (
	"context"
	"errors"

	"hafs/lib/client/dial"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/session"
	"hafs/lib/node/command"
)

const about = `Runs sftp or rsync on another server over a connection that is kept warm: the ssh command of sshfs mounts and of rsync. The host is a
server's name, or "fs" (whoever is the file sharing server now; the session follows when that changes, and programs see a pause
and no error), or "S1" (the DRS1 of the first pair).

With --keep it is the service that keeps the connections and lends them.

Examples:
  sshfs fs:/nfs /mnt -o ssh_command=hafs-dial
  rsync -a -e hafs-dial /nfs/ M2:/nfs/
  hafs-dial --keep

Exit codes: that of the remote command; 1 failed, 3 refused: bad settings.`

// cli takes the options that sshfs and rsync hand to any ssh, and ignores them: who is dialled, and how, is the record's business.
type cli struct {
	command.Common
	Keep bool `help:"Be the service that keeps connections and lends them."`

	Option      []string `short:"o" hidden:"" sep:"none"`
	NoX11       bool     `short:"x" hidden:""`
	NoAgent     bool     `short:"a" hidden:""`
	ProtocolTwo bool     `short:"2" hidden:""`
	Subsystem   bool     `short:"s" hidden:""`
	Login       string   `short:"l" hidden:""`
	Host        string   `arg:"" optional:"" help:"Server, or fs, or S1, S2, ..."`
	Remote      []string `arg:"" optional:"" passthrough:"" name:"command" help:"sftp or rsync with its arguments."`
}

// Validate refuses a call that names no host, before anything is asked.
func (c *cli) Validate() error {
	if c.Keep == (c.Host != "") {
		return errors.New("either a host and a command, or --keep")
	}
	return nil
}

func (c *cli) Run(ctx context.Context) error {
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	if c.Keep {
		dialer, err := session.NewDialer(settings)
		if err != nil {
			return err
		}
		dialer.Full = true
		keeper := dial.Keeper{Settings: settings, Dialer: dialer, Log: c.Log()}
		return keeper.Run(ctx)
	}
	remote := c.Remote
	if len(remote) > 0 && remote[0] == "-s" { // ssh takes options behind the host too
		remote = remote[1:]
	}
	status, err := dial.Lend(settings.Run("dial.sock"), c.Host, remote)
	return exitcode.With(status, err)
}

func main() { command.Main(about, &cli{}) }
