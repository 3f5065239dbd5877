package promote

import (
	"fmt"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
)

// Unfit is why a failed server is not taken back yet; empty when it may be.
func Unfit(f link.Facts, r record.Record) string {
	switch {
	case f.Cluster != r.Cluster:
		return fmt.Sprintf("belongs to cluster %q", f.Cluster)
	case f.Generation != r.Generation:
		return fmt.Sprintf("has generation %d, not yet %d", f.Generation, r.Generation)
	case !f.Healthy:
		return "is not healthy: " + f.Problem
	case f.Examination <= 0:
		// All members may have changed theirs while this one was none, and it would keep to the time before (docs/lease.md).
		return "says no examination time, so its release is older than this one: bring this release to it first"
	case !f.Fit:
		return "has not brought its copy up to date yet (hafs-status tells why)"
	}
	return ""
}

// Untaken is why this server may not take an empty disk in the place of its copy; empty when it may. said is what the other servers say of themselves.
//
// What is given up is the claim of this copy to be whole, which would be wrong. The file sharing server with its lease has the share, and that is enough: to
// ask for a second copy would refuse a cluster that has lost all others. One server at a time, though: an order given to all of them may have been given
// where disks are only not mounted, and then each that obeys leaves one copy less that may succeed. A spare's copy counts for nothing.
func Untaken(r record.Record, self string, said map[string]link.Details) string {
	switch role := r.Role(self); role {
	case record.RoleFS:
		return self + " is the file sharing server, so what is in its directory is the share. If that is lost: stop hafs.target here, and a replica succeeds"
	case record.RoleSpare:
		return ""
	case record.RoleDRS1:
		if fed := r.Pairs[r.PairOf(self)].DRS2; fed != record.Trouble {
			return fmt.Sprintf("%s feeds %s, which would be emptied with it. Wait until it has failed, or say so: hafs-promote failed %s", self, fed, self)
		}
	}
	fs, answers := said[r.FS.Name]
	switch {
	case !answers:
		return fmt.Sprintf("the file sharing server %s does not answer, so it is not known whether a whole copy is left", r.FS.Name)
	case fs.Facts.Cluster != r.Cluster || fs.Facts.Generation != r.Generation || !fs.Leased || fs.Facts.Bare != "":
		return fmt.Sprintf("the file sharing server %s does not serve, so it is not known whether a whole copy is left", r.FS.Name)
	}
	for _, s := range r.Servers {
		if s.Name == self {
			continue
		}
		other, answers := said[s.Name]
		switch {
		case !answers && s.Status != record.Failed:
			return fmt.Sprintf("%s does not answer, and may be filled anew itself", s.Name)
		case other.Refilling:
			return fmt.Sprintf("%s has taken an empty disk and is not whole yet: one server at a time", s.Name)
		}
	}
	return ""
}
