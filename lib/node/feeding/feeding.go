// Package feeding says from the record whom a server feeds: which replicas it keeps, how it reaches them, and of which directory. It decides
// only; hafs-mirror does it.
package feeding

import (
	"cmp"

	"hafs/lib/cluster/record"
	"hafs/lib/replication/mirror"
)

// Replicas says which replicas a server keeps by the record: FS one on every DRS1, a DRS1 one on its DRS2, all others none. Places in trouble have
// none. With streams every server is fed in the same way; otherwise FS uses its mounts of the DRS1s and a DRS1 rsync, as the paper has it.
func Replicas(r record.Record, self string, streams bool) []mirror.Wanted {
	var wanted []mirror.Wanted
	switch r.Role(self) {
	case record.RoleFS:
		for i, p := range r.Pairs {
			switch {
			case p.DRS1 == record.Trouble:
			case streams:
				wanted = append(wanted, mirror.Wanted{Name: p.DRS1, Transport: mirror.StreamTransport, Target: p.DRS1})
			case i < len(r.FS.MountPoints):
				wanted = append(wanted, mirror.Wanted{Name: p.DRS1, Transport: mirror.DirectoryTransport, Target: r.FS.MountPoints[i]})
			}
		}
	case record.RoleDRS1:
		switch p := r.Pairs[r.PairOf(self)]; {
		case p.DRS2 == record.Trouble:
		case streams:
			wanted = append(wanted, mirror.Wanted{Name: p.DRS2, Transport: mirror.StreamTransport, Target: p.DRS2})
		default:
			wanted = append(wanted, mirror.Wanted{Name: p.DRS2, Transport: mirror.RsyncTransport, Target: p.DRS2 + ":" + cmp.Or(r.DataDirectory, r.FS.SharedArea) + "/"})
		}
	}
	return wanted
}

// Share is the directory that a server replicates.
func Share(r record.Record, self string) string {
	if r.Role(self) == record.RoleFS {
		return r.FS.SharedArea
	}
	return r.DataDirectory
}
