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
	case !f.Fit:
		return "has not brought its copy up to date yet (hafs-status tells why)"
	}
	return ""
}
