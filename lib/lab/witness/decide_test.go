package witness

import (
	"strings"
	"testing"

	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/lab/shape"
	"hafs/lib/node/role"
	"hafs/lib/replication/mirror"
)

func current(generation uint64) record.Record {
	return record.Record{
		Cluster: "test", Generation: generation, DataDirectory: "/nfs", ClientMount: "/system",
		FS: record.FileServer{Name: "L1", SharedArea: "/nfs", Link: "/system", VirtualAddress: "192.168.1.254/24", MountPoints: []string{"/mp/S1"}},
		Servers: []record.Server{
			{Name: "L1", Address: "192.168.1.1", Status: record.Active}, {Name: "W3", Address: "192.168.1.2", Status: record.Active},
			{Name: "M2", Address: "192.168.1.3", Status: record.Active}, {Name: "M3", Address: "192.168.1.4", Status: record.Spare},
			{Name: "W2", Address: "192.168.1.5", Status: record.Failed},
		},
		Pairs: []record.Pair{{DRS1: "W3", DRS2: "M2"}},
	}
}

// well is a cluster in which nothing is wrong; W2 is failed and down.
func well() []Sight {
	r := current(7)
	var all []Sight
	for _, s := range r.Servers {
		x := Sight{Name: s.Name, State: "up", Settings: config.Defaults(), Record: &r, Confirmed: 7, LinkTo: "/run/hafs/client"}
		x.Role = role.State{Generation: 7, Role: r.Role(s.Name)}
		x.Mirror.Generation = 7
		for _, name := range Fed(r, s.Name) {
			x.Mirror.Replicas = append(x.Mirror.Replicas, mirror.ReplicaStatus{Name: name, State: mirror.Complete, Generation: 7})
		}
		all = append(all, x)
	}
	all[0].LinkTo, all[0].Address = "/nfs", true
	all[4] = Sight{Name: "W2", State: "down"}
	return all
}

func TestDisappointments(t *testing.T) {
	for _, c := range []struct {
		situation string
		change    func(s []Sight)
		want      string // parts of what is said, one for each thing; empty: nothing
	}{
		{"nothing is wrong", func(s []Sight) {}, ""},
		{"a failed server is of no interest, but for the address", func(s []Sight) { s[4].State = "frozen" }, ""},
		{"a frozen server has kept the address", func(s []Sight) { s[4].State, s[4].Address = "frozen", true }, "W2: has the virtual address, which belongs to L1"},
		{"nobody has the address", func(s []Sight) { s[0].Address = false }, "L1: does not have the virtual address"},
		{"a member is down", func(s []Sight) { s[2].State = "down" }, "M2: is a member, but down"},
		{"a member is cut off", func(s []Sight) { s[2].CutOff = true }, "M2: is a member, but cut off"},
		{"a member has an older generation", func(s []Sight) { r := current(6); s[1].Record = &r }, "W3: has record test/6"},
		{"a member has the same generation with other words", func(s []Sight) { r := current(7); r.Pairs[0].DRS2 = "M3"; s[1].Record = &r }, "W3: has record test/7"},
		{"a member has not acted on it since it booted", func(s []Sight) { s[1].Confirmed = 0 }, "W3: has confirmed generation 0, not 7"},
		{"a role of the generation before", func(s []Sight) { s[3].Role.Generation = 6 }, "M3: has the role of generation 6, not 7"},
		{"a role is not established", func(s []Sight) { s[3].Role.Problem = "no mount" }, "M3: role: no mount"},
		{"a role is another one", func(s []Sight) { s[3].Role.Role = record.RoleDRS2 }, "M3: is drs2, not spare"},
		{"/system leads elsewhere", func(s []Sight) { s[3].LinkTo = "/nfs" }, `M3: /system leads to "/nfs", not "/run/hafs/client"`},
		{"the mirror is behind", func(s []Sight) { s[0].Mirror.Generation = 6 }, "L1: mirrors in generation 6, not 7"},
		{"a replica is filled", func(s []Sight) { s[1].Mirror.Replicas[0].State = mirror.Filling }, "W3: its replica M2 is filling"},
		{"a replica was complete, but not since", func(s []Sight) { s[0].Mirror.Replicas[0].Generation = 6 }, "L1: its replica W3 is complete, and was last complete in generation 6"},
		{"a replica is missing", func(s []Sight) { s[0].Mirror.Replicas = nil }, "L1: does not mirror to W3"},
	} {
		sights := well()
		c.change(sights)
		got := Disappointments(sights, shape.Shape{}, true)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].String(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.situation, got, c.want)
		}
	}
}

func TestTheShapeIsAskedOfTheNewestRecord(t *testing.T) {
	sights := well()
	old := current(5)
	old.FS.Name, old.Pairs[0].DRS1 = "W3", "L1"
	sights[4] = Sight{Name: "W2", State: "up", Record: &old}
	if got := Disappointments(sights, shape.Shape{FS: "L1"}, true); len(got) > 0 {
		t.Error(got)
	}
	if got := Disappointments(sights, shape.Shape{FS: "W3"}, true); len(got) != 1 || got[0].String() != "generation 7: fs is L1, not W3" {
		t.Error(got)
	}
	if got := Disappointments(nil, shape.Shape{}, false); len(got) != 1 {
		t.Error(got)
	}
}
