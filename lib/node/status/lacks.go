package status

import (
	"fmt"
	"slices"
	"syscall"

	"hafs/lib/replication/mirror"
)

// namedLacks is how many of the paths that one replica lacks are findings of their own.
const namedLacks = 5

// lacking names each path that is not copied once: with the server on which it cannot be read, or with the replica that does not take it.
func lacking(report Report) []Finding {
	var found []Finding
	told := map[string]bool{}
	for _, p := range report.Replicas {
		if !answered(report, p.FedBy) || !answered(report, p.Name) {
			continue
		}
		for i, l := range p.Lacks {
			f := Finding{Grave: true, Server: p.Name, Do: remedyOf(l, p.Name)}
			f.Text = fmt.Sprintf("%s (%s of pair %d) does not take %s: %s", p.Name, p.Place, p.Pair, l.Path, l.Cause)
			if l.Side == mirror.OfShare {
				f.Server, f.Do = p.FedBy, remedyOf(l, p.FedBy)
				f.Text = fmt.Sprintf("%s is not copied from %s: %s", l.Path, p.FedBy, l.Cause)
				f.Grave = l.Errno != syscall.EBUSY // a mount may be meant
			}
			if i >= namedLacks {
				f.Text = fmt.Sprintf("%s (%s of pair %d) lacks %d further paths", p.Name, p.Place, p.Pair, len(p.Lacks)-i)
				f.Do = "hafs-status --json on " + p.Name + " names them"
			}
			if !told[f.Text] {
				told[f.Text] = true
				found = append(found, f)
			}
			if i >= namedLacks {
				break
			}
		}
	}
	return found
}

// remedyOf is what to do about a path that is not copied, by its cause.
func remedyOf(l mirror.Lack, server string) string {
	switch {
	case l.Errno == syscall.EBUSY && l.Side == mirror.OfShare:
		return "unmount it on " + server + ", or leave it: mounts are not copied"
	case l.Errno == syscall.EBUSY:
		return "unmount what is mounted there on " + server
	case slices.Contains([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}, l.Errno):
		return "free space (df, df -i) on " + server
	case l.Errno == syscall.ENAMETOOLONG:
		return "shorten the path: it may have 4095 bytes, each name 255"
	case l.Errno == syscall.E2BIG:
		return "take extended attributes away: a file may have 256 KiB of them"
	case slices.Contains([]syscall.Errno{syscall.EPERM, syscall.EACCES}, l.Errno):
		return "lsattr and getfacl of it on " + server + "; chattr -i if it is immutable"
	case l.Errno == syscall.EROFS:
		return "mount the file system writable on " + server
	case l.Errno == syscall.EIO:
		return "look at the disk of " + server + " (journalctl -k)"
	}
	return "journalctl -u hafs-mirror; it is tried again by itself"
}
