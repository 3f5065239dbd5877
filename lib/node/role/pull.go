package role

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
)

// pulled is how the last attempt to bring this server's copy up to date ended.
type pulled struct {
	generation uint64
	renewed    bool // it was of a disk that hafs-promote init --empty took, and knew it
	err        error
}

// errReplaced means that the copy that was brought up to date is not the one that is here now.
var errReplaced = errors.New("another disk is in the place of the one that was brought up to date")

// replaced says whether the copy that was brought up to date is gone: its directory does not hold the share, or hafs-promote init --empty took another one.
func (p pulled) replaced(marked, renewed bool) bool { return !marked || renewed && !p.renewed }

// renewed says whether this server's copy is on a disk that hafs-promote init --empty took, and that is not whole yet.
func (k *Keeper) renewed() bool {
	_, err := os.Lstat(k.Settings.Refilling())
	return err == nil
}

// rsyncVanished is rsync's exit status when files were removed from the share while it copied, as programs do all day. Nothing is wrong with the
// copy then, and whoever feeds it next compares it with the share. Any other status means that something was not taken.
const rsyncVanished = 24

// pullArguments make a copy like the share by content, with links, ACLs and the attributes that replicas keep (lib/replication/change: KeptXattr). The
// rules for attributes are for both sides.
func pullArguments(aside, shell, directory string) []string {
	return []string{"-aHAXx", "--numeric-ids", "--delete-delay", "--checksum",
		"--filter=+xsr user.**", "--filter=+xsr trusted.**", "--filter=+xsr security.capability", "--filter=-xsr **",
		"--backup", "--backup-dir=" + aside, "--exclude=.hafs-tmp.*", "--exclude=/.hafs-trash", "-e", shell,
		"fs:" + directory + "/", directory + "/"}
}

// pull brings the copy of a server that was away up to date with the share before it is taken back. What it has and the share has not, or has differently, is
// moved to /var/lib/hafs/divergent/<generation>, with a list beside it, so that nothing is lost without a word.
func (k *Keeper) pull(ctx context.Context, r record.Record) error {
	if err := gate.CheckMarker(r.DataDirectory, r.Cluster); err != nil {
		return err
	}
	if err := k.gatherAll(); err != nil { // of those that were broken off, in this generation or an earlier one
		return err
	}
	attempt := k.asideIn(r.Generation) + attemptSuffix
	cmd := exec.CommandContext(ctx, "rsync", pullArguments(attempt, "hafs-dial", r.DataDirectory)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	cmd.WaitDelay = time.Second // for the complaints of hafs-dial, which may stay longer than rsync
	var exit *exec.ExitError
	err := cmd.Run()
	if errors.As(err, &exit) && exit.ExitCode() == rsyncVanished {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("bring %s up to date from %s: %w: %s", r.DataDirectory, r.FS.Name, err, bytes.TrimSpace(complaints.Bytes()))
	}
	if err := errors.Join(err, k.gatherAll()); err != nil {
		return err
	}
	return k.listAll(r)
}

// listAll lists what was kept aside in this generation, and in earlier ones whose attempts were broken off before that.
func (k *Keeper) listAll(r record.Record) error {
	for _, n := range k.keptAside("") {
		if _, err := os.Lstat(k.asideIn(n) + listSuffix); err == nil && n != r.Generation {
			continue
		}
		if err := k.list(k.asideIn(n), r.DataDirectory); err != nil {
			return err
		}
	}
	return nil
}

// list says what is in a folder of what was kept aside, and takes folder and list away when that is nothing.
func (k *Keeper) list(aside, directory string) error {
	list := aside + listSuffix
	left, err := sift(k.Machine, aside, directory)
	if err != nil {
		return fmt.Errorf("look through what was kept aside: %w", err)
	}
	if len(left) == 0 {
		return k.Machine.RemoveAll("nothing was kept aside", list)
	}
	if err := k.Machine.Replace("list what was kept aside", list, left, 0o600); err != nil {
		return err
	}
	k.Log.Warn().Str("folder", aside).Str("list", list).Int("paths", bytes.Count(left, []byte("\n"))).Msg("files that only this server had were kept aside")
	return nil
}
