package shape

import (
	"fmt"
	"strings"

	"hafs/lib/cluster/record"
)

// Paper is the shape of the paper's experiment. The scan does not show which servers make the second and third pair.
func Paper() Shape {
	return Shape{
		FS:     "L1",
		Pairs:  map[int]record.Pair{1: {DRS1: "W3", DRS2: "M2"}, 2: {DRS1: "M1", DRS2: "L2"}, 3: {DRS1: "W1", DRS2: "L3"}},
		Failed: []string{}, Spares: []string{"M3", "W2"}, Trouble: []string{},
	}
}

// WithoutSpares is the shape of the paper's section 5.2: the spares make one more pair.
func WithoutSpares() Shape {
	s := Paper()
	s.Pairs[4] = record.Pair{DRS1: "M3", DRS2: "W2"}
	s.Spares = []string{}
	return s
}

// Next is the next planned change on the way from a record to a shape that names everybody; done when the record has it.
//
// No change makes a server FS that is not a DRS1 already, and each change assumes that the replicas are complete. A server that has
// failed has to be taken back first.
func Next(r record.Record, s Shape) (next record.Record, done bool, err error) {
	if failed := r.WithStatus(record.Failed); len(failed) > 0 {
		return record.Record{}, false, fmt.Errorf("%s must be taken back first", strings.Join(failed, ", "))
	}
	if len(s.Mismatches(r)) == 0 && len(s.Pairs) == len(r.Pairs) {
		return r, true, nil
	}
	next, err = build(r, s)
	if err != nil {
		return record.Record{}, false, err
	}
	if next.FS.Name == r.FS.Name || r.Role(next.FS.Name) == record.RoleDRS1 {
		return next, false, nil
	}
	// A detour: the FS to be gets a DRS1 place first and is filled there, while the present FS goes on.
	detour := s
	detour.FS, detour.Pairs = r.FS.Name, map[int]record.Pair{}
	first := s.Pairs[1].DRS1
	swap := map[string]string{r.FS.Name: first, first: s.FS}
	if first == r.FS.Name {
		swap = map[string]string{first: s.FS}
	}
	place := func(name string) string {
		if other, found := swap[name]; found {
			return other
		}
		return name
	}
	for n, p := range s.Pairs {
		detour.Pairs[n] = record.Pair{DRS1: place(p.DRS1), DRS2: place(p.DRS2)}
	}
	next, err = build(r, detour)
	return next, false, err
}

// build is the record of the next generation in which everybody has the place the shape gives.
func build(r record.Record, s Shape) (record.Record, error) {
	next := r.Clone()
	next.Generation++
	next.FS.Name = s.FS
	next.Pairs, next.FS.MountPoints = nil, nil
	for n := 1; n <= len(s.Pairs); n++ {
		next.Pairs = append(next.Pairs, s.Pairs[n])
		next.FS.MountPoints = append(next.FS.MountPoints, fmt.Sprintf("/mp/S%d", n))
	}
	for i, server := range next.Servers {
		next.Servers[i].Status = record.Spare
		if server.Name == s.FS || next.PairOf(server.Name) >= 0 {
			next.Servers[i].Status = record.Active
		}
	}
	if err := next.Validate(); err != nil {
		return record.Record{}, fmt.Errorf("cannot reach %s: %w", s, err)
	}
	return next, nil
}
