package role

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"hafs/lib/cluster/record"
)

// pulled is how the last attempt to bring this server's copy up to date ended.
type pulled struct {
	generation uint64
	aside      string // folder of what only this server had
	err        error
}

// pull brings the copy of a server that was away up to date with the share before it is taken back. What it has and the share has not, or
// has differently, is moved to /var/lib/hafs/divergent/<generation>, so that nothing is lost without a word; the folder
// is returned, empty when nothing was moved.
func (k *Keeper) pull(ctx context.Context, r record.Record) (string, error) {
	aside := filepath.Join(k.Settings.State("divergent"), strconv.FormatUint(r.Generation, 10))
	list := aside + ".list"
	cmd := exec.CommandContext(ctx, "rsync", "-aHx", "--numeric-ids", "--delete-delay", "--checksum", "--itemize-changes",
		"--backup", "--backup-dir="+aside, "--exclude=.hafs-tmp.*", "--exclude=/.hafs-trash", "-e", "hafs-dial",
		"fs:"+r.DataDirectory+"/", r.DataDirectory+"/")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
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
