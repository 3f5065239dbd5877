package mirror

import (
	"cmp"

	"hafs/lib/cluster/record"
)

// Wanted is one replica that a server has to keep.
type Wanted struct {
	Name      string // the server that has it
	Transport string // one of those below
	Target    string // a directory, HOST:DIRECTORY/, or a host
}

// The ways to reach a replica.
const (
	DirectoryTransport = "directory"
	RsyncTransport     = "rsync"
	StreamTransport    = "stream"
)

// Replicas says which replicas a server keeps by the record: FS one on every DRS1, a DRS1 one on its DRS2, all others none. Places in trouble have
// none. With streams every server is fed in the same way; otherwise FS uses its mounts of the DRS1s and a DRS1 rsync, as the paper has it.
func Replicas(r record.Record, self string, streams bool) []Wanted {
	var wanted []Wanted
	switch r.Role(self) {
	case record.RoleFS:
		for i, p := range r.Pairs {
			switch {
			case p.DRS1 == record.Trouble:
			case streams:
				wanted = append(wanted, Wanted{p.DRS1, StreamTransport, p.DRS1})
			case i < len(r.FS.MountPoints):
				wanted = append(wanted, Wanted{p.DRS1, DirectoryTransport, r.FS.MountPoints[i]})
			}
		}
	case record.RoleDRS1:
		switch p := r.Pairs[r.PairOf(self)]; {
		case p.DRS2 == record.Trouble:
		case streams:
			wanted = append(wanted, Wanted{p.DRS2, StreamTransport, p.DRS2})
		default:
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
