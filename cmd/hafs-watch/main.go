// hafs-watch prints what changes in the share, one line for each change, as it happens.
package main

import "hafs/lib/node/command"

const about = `Prints what changes in a directory, one change a line: a kind, a space, a path relative to the directory.

Without --against the lines say where to look: "look PATH", "rescan DIR" when everything below must be compared, "barrier ID" when
everything before a mark has been reported. With --against DIR they say what differs: "create", "overwrite" or "delete".
In a path a backslash is \\, a newline \n, and every other byte that is not printable UTF-8 \xNN.

Examples:
  hafs-watch --share /nfs | hafs-mirror --share /nfs --to copy=/srv/copy
  hafs-watch --share /nfs --against /srv/copy
  hafs-watch --share /nfs --against /srv/copy --once --checksum

Exit codes: 0 ended as asked, also when --once found differences; 1 failed, or the share vanished.`

func main() { command.Main(about, &cli{}) }
