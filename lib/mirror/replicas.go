package mirror

import (
	"cmp"

	"hafs/lib/record"
)

// Wanted is one replica that a server has to keep.
type Wanted struct {
	Name      string // the server that has it
	Transport string // DirectoryTransport or RsyncTransport
	Target    string // a directory, or HOST:DIRECTORY/
}

// The ways to reach a replica.
const (
	DirectoryTransport = "directory"
	RsyncTransport     = "rsync"
)

// Replicas says which replicas a server keeps by the record: FS one on every DRS1 through its mount, a DRS1 one on its DRS2 by rsync, all
// others none. Places in trouble have none.
func Replicas(r record.Record, self string) []Wanted {
	var wanted []Wanted
	switch r.Role(self) {
	case record.RoleFS:
		for i, p := range r.Pairs {
			if p.DRS1 != record.Trouble && i < len(r.FS.MountPoints) {
				wanted = append(wanted, Wanted{p.DRS1, DirectoryTransport, r.FS.MountPoints[i]})
			}
		}
	case record.RoleDRS1:
		if p := r.Pairs[r.PairOf(self)]; p.DRS2 != record.Trouble {
			wanted = append(wanted, Wanted{p.DRS2, RsyncTransport, p.DRS2 + ":" + cmp.Or(r.DataDirectory, r.FS.SharedArea) + "/"})
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
