// hafs-mirror applies changes of the share to its replicas.
package main

import "hafs/lib/node/command"

const about = `Keeps replicas identical to the share: reads changes, one a line as hafs-watch prints them, compares each place with each replica, and
copies, links or deletes what differs. Both sides must have the same marker .hafs-share at their root. As a service it also takes what feeds
this server's own copy, and serves the share's clients: a change of theirs is answered when more than half of the DRS1s have it.

Examples:
  hafs-watch --share /nfs | hafs-mirror --share /nfs --to copy=/srv/copy
  hafs-mirror --share /nfs --to copy=/srv/copy --full              make a copy whole, once
  hafs-mirror --share /nfs --to copy=/srv/copy --full --dry-run    say what that would do
  hafs-mirror --share /nfs --rsync-to M2=M2:/nfs/ --full           the same by rsync over hafs-dial
  hafs-mirror --service                                            what hafs-mirror.service runs: replicas by the record
  hafs-mirror verify                                               compare all replicas, content too
  hafs-mirror wait --copies 2 --timeout 5s                         return when what was written is on two replicas
  hafs-mirror release                                              let deletes go that were too many at once

Exit codes: 0 done, or identical; 1 failed, timed out, or different; 3 refused: the reason is printed; 5 nothing to release.`

type cli struct {
	command.Common
	Run     runCommand     `cmd:"" default:"withargs" help:"Read changes and apply them (this is what is done without a command)."`
	Verify  verifyCommand  `cmd:"" help:"Compare replicas with the share by checksum; print one difference a line."`
	Wait    waitCommand    `cmd:"" help:"Return when everything written before is on the disks of the running hafs-mirror's replicas; a terminal shows how far it is."`
	Release releaseCommand `cmd:"" help:"Let the deletes go that the running hafs-mirror holds back; print replicas, and how many deletes."`
}

func main() {
	var c cli
	c.Run.Common, c.Verify.Common, c.Wait.Common, c.Release.Common = &c.Common, &c.Common, &c.Common, &c.Common
	command.Main(about, &c)
}
