package role

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
)

// pulled is how the last attempt to bring this server's copy up to date ended.
type pulled struct {
	generation uint64
	aside      string // folder of what only this server had
	err        error
}

// rsyncVanished is rsync's exit status when files were removed from the share while it copied, as programs do all day. Nothing is wrong with the
// copy then, and whoever feeds it next compares it with the share. Any other status means that something was not taken.
const rsyncVanished = 24

// pullArguments make a copy like the share by content, with links, ACLs and the attributes that replicas keep (lib/replication/change: KeptXattr). The
// rules for attributes are for both sides.
func pullArguments(aside, shell, directory string) []string {
	return []string{"-aHAXx", "--numeric-ids", "--delete-delay", "--checksum", "--itemize-changes",
		"--filter=+xsr user.**", "--filter=+xsr trusted.**", "--filter=+xsr security.capability", "--filter=-xsr **",
		"--backup", "--backup-dir=" + aside, "--exclude=.hafs-tmp.*", "--exclude=/.hafs-trash", "-e", shell,
		"fs:" + directory + "/", directory + "/"}
}

// pull brings the copy of a server that was away up to date with the share before it is taken back. What it has and the share has not, or
// has differently, is moved to /var/lib/hafs/divergent/<generation>, so that nothing is lost without a word; the folder
// is returned, empty when nothing was moved.
func (k *Keeper) pull(ctx context.Context, r record.Record) (string, error) {
	if err := gate.CheckMarker(r.DataDirectory, r.Cluster); err != nil {
		return "", err
	}
	aside := filepath.Join(k.Settings.State("divergent"), strconv.FormatUint(r.Generation, 10))
	list := aside + ".list"
	cmd := exec.CommandContext(ctx, "rsync", pullArguments(aside, "hafs-dial", r.DataDirectory)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.WaitDelay = time.Second // for the complaints of hafs-dial, which may stay longer than rsync
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == rsyncVanished) {
		return "", fmt.Errorf("bring %s up to date from %s: %w: %s", r.DataDirectory, r.FS.Name, err, bytes.TrimSpace(complaints.Bytes()))
	}
	if _, err := os.Stat(aside); err != nil {
		return "", nil
	}
	if err := k.Machine.Replace("list what was kept aside", list, out.Bytes(), 0o600); err != nil {
		return "", err
	}
	k.Log.Warn().Str("folder", aside).Str("list", list).Msg("files that only this server had were kept aside")
	return aside, nil
}
