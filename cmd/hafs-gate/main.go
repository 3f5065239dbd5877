// hafs-gate is the forced command of every SSH session between servers of a cluster.
package main

import (
	"fmt"
	"os"

	"hafs/lib/client/sftpd"
	"hafs/lib/cluster/gate"
	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
)

const about = `Forced command of every SSH session between servers: decides by the record what the peer may do, and does it,
hands it to a daemon, or becomes rsync. It is called by sshd, from authorized_keys.

Example line in /etc/hafs/ssh/authorized_keys:
  restrict,command="/usr/local/bin/hafs-gate --from W3" ssh-ed25519 AAAA... W3

Exit codes: those of rsync once it has become one; 1 failed; 3 refused, with the reason on stderr.`

type cli struct {
	command.Common
	From string `required:"" help:"Server whose key opened the session."`
}

func (c *cli) Run() error {
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	// What this program complains of is the peer's to read, word for word the same at every attempt: it has no log of its own.
	switch err = (gate.Gate{Settings: settings, From: c.From, SFTP: sftpd.Server{}.Serve}).Enter(os.Getenv("SSH_ORIGINAL_COMMAND")); {
	case err == nil:
		return nil
	case exitcode.Of(err) == exitcode.Refused:
		return fmt.Errorf("%s refuses: %w", settings.Name, err)
	}
	return fmt.Errorf("%s: %w", settings.Name, err)
}

func main() { command.Main(about, &cli{}) }
