// Package record is the cluster's agreement on who does what: the three files of one generation.
//
// It promises strict reading (unknown keys, contradictions and mixed generations are refused with file and line), a single
// moment at which a new generation becomes current, and that a crash leaves one whole generation. It does not decide
// what the next generation should be (package repair) nor who may install it (package agree).
package record

import (
	"net/netip"
	"slices"
)

// Status says what a server is good for now. The paper's numbers are 0, 1 and 2.
type Status string

const (
	Active Status = "active" // works in the system: FS, DRS1 or DRS2
	Spare  Status = "spare"  // waits for a place
	Failed Status = "failed" // watched until it comes back
)

// Trouble stands in a pair for a place that nobody can fill.
const Trouble = "trouble"

// Server is one row of server-list.yml.
type Server struct {
	Name    string `yaml:"name"`
	Address string `yaml:"address"` // IP, without prefix length
	Status  Status `yaml:"status"`
}

// FileServer is file-sharing-server.yml: who serves the share, and how.
type FileServer struct {
	Name           string   `yaml:"name"`
	SharedArea     string   `yaml:"shared_area"`     // the directory that is shared
	Link           string   `yaml:"link"`            // the name programs use for it on every server
	MountPoints    []string `yaml:"mount_points"`    // where FS mounts the DRS1 of each pair, in the order of the pairs
	VirtualAddress string   `yaml:"virtual_address"` // IP/prefix; FS has it, clients outside use it
}

// Pair is one row of data-redundancy-server.yml; either place may hold Trouble.
type Pair struct {
	DRS1 string `yaml:"drs1"`
	DRS2 string `yaml:"drs2"`
}

// Record is one generation. Servers and pairs are ordered: the first spare steps in, the first DRS1 succeeds.
type Record struct {
	Cluster       string
	Generation    uint64
	Servers       []Server
	FS            FileServer
	DataDirectory string // where a DRS keeps its copy; the same as FS.SharedArea
	ClientMount   string // the paper's mount point 2; the same as FS.Link
	Pairs         []Pair

	unknown string // what a peer's newer release wrote into it; see Newer
}

// Role is what a server is in a record.
type Role string

const (
	RoleFS     Role = "fs"
	RoleDRS1   Role = "drs1"
	RoleDRS2   Role = "drs2"
	RoleSpare  Role = "spare"
	RoleFailed Role = "failed"
	RoleNone   Role = "none" // not in the record
)

// Server finds a server by name.
func (r Record) Server(name string) (Server, bool) {
	for _, s := range r.Servers {
		if s.Name == name {
			return s, true
		}
	}
	return Server{}, false
}

// Role says what a server is. A server marked failed has no other role.
func (r Record) Role(name string) Role {
	s, ok := r.Server(name)
	switch {
	case !ok:
		return RoleNone
	case s.Status == Failed:
		return RoleFailed
	case r.FS.Name == name:
		return RoleFS
	}
	for _, p := range r.Pairs {
		switch name {
		case p.DRS1:
			return RoleDRS1
		case p.DRS2:
			return RoleDRS2
		}
	}
	return RoleSpare
}

// PairOf finds the pair a DRS belongs to, or -1.
func (r Record) PairOf(name string) int {
	return slices.IndexFunc(r.Pairs, func(p Pair) bool { return name != Trouble && (p.DRS1 == name || p.DRS2 == name) })
}

// DRS1s lists the DRS1s in the order of the pairs, places in trouble left out.
func (r Record) DRS1s() []string {
	var names []string
	for _, p := range r.Pairs {
		if p.DRS1 != Trouble {
			names = append(names, p.DRS1)
		}
	}
	return names
}

// WithStatus lists the servers of one status in the record's order.
func (r Record) WithStatus(status Status) []string {
	var names []string
	for _, s := range r.Servers {
		if s.Status == status {
			names = append(names, s.Name)
		}
	}
	return names
}

// Members lists the servers that take part in decisions: all that are not failed.
func (r Record) Members() []string {
	var names []string
	for _, s := range r.Servers {
		if s.Status != Failed {
			names = append(names, s.Name)
		}
	}
	return names
}

// Majority is how many of the members must agree. A record without members has no majority: no number of votes is enough.
func (r Record) Majority() int {
	n := len(r.Members())
	if n == 0 {
		return 1
	}
	return n/2 + 1
}

// Watchers lists the servers that keep links to all others: FS, then the DRS1s in order. Whoever has to change the record
// is one of them.
func (r Record) Watchers() []string {
	return append([]string{r.FS.Name}, r.DRS1s()...)
}

// VirtualIP is the virtual address without its prefix length.
func (r Record) VirtualIP() string {
	p, err := netip.ParsePrefix(r.FS.VirtualAddress)
	if err != nil {
		return ""
	}
	return p.Addr().String()
}

// Clone is a deep copy, so that a decision can change it and hand back a new record.
func (r Record) Clone() Record {
	r.Servers = slices.Clone(r.Servers)
	r.FS.MountPoints = slices.Clone(r.FS.MountPoints)
	r.Pairs = slices.Clone(r.Pairs)
	return r
}
