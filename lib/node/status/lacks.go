package status

import (
	"fmt"
	"slices"
	"syscall"

	"hafs/lib/host/problem"
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
			f := Finding{ID: pathKind(l), Grave: true, Server: p.Name, Part: l.Path}
			f.Text = fmt.Sprintf("%s (%s of pair %d) does not take %s: %s", p.Name, p.Place, p.Pair, named(l), l.Cause)
			if l.Side == mirror.OfShare {
				f.Server, f.Grave = p.FedBy, l.Errno != syscall.EBUSY // a mount may be meant
				f.Text = fmt.Sprintf("%s is not copied from %s: %s", named(l), p.FedBy, l.Cause)
			}
			if i >= namedLacks {
				f.ID, f.Part = FurtherPaths, ""
				f.Text = fmt.Sprintf("%s (%s of pair %d) lacks %d further paths", p.Name, p.Place, p.Pair, max(p.Lacking, len(p.Lacks))-i)
			}
			if !told[f.Text] {
				told[f.Text] = true
				found = append(found, remedied(f, p.FedBy))
			}
			if i >= namedLacks {
				break
			}
		}
	}
	return found
}

// named is the path, or what it stands for.
func named(l mirror.Lack) string {
	if l.Path == "." && l.Below {
		return "much of the share"
	}
	return l.Path
}

// pathKind is what is wrong with a path that is not copied, by its cause.
func pathKind(l mirror.Lack) problem.ID {
	switch {
	case l.Errno == syscall.EBUSY && l.Side == mirror.OfShare:
		return MountInShare
	case l.Errno == syscall.EBUSY:
		return MountInCopy
	case slices.Contains([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}, l.Errno):
		return PathWithoutRoom
	case l.Errno == syscall.ENAMETOOLONG:
		return LongPath
	case l.Errno == syscall.E2BIG:
		return LargeAttributes
	case slices.Contains([]syscall.Errno{syscall.EPERM, syscall.EACCES}, l.Errno):
		return ForbiddenPath
	case l.Errno == syscall.EROFS:
		return ReadOnlyPath
	case l.Errno == syscall.EIO:
		return UnreadablePath
	case slices.Contains([]syscall.Errno{syscall.EUCLEAN, syscall.EBADMSG}, l.Errno):
		return DamagedFileSystem
	}
	return UncopiedPath
}
