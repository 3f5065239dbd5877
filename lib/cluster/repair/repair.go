// Package repair decides what the next record is: after failures, when a server comes back, and for a planned move. It is the
// paper's sections 4.1 to 4.3, made total: for any set of failures there is either a record or a refusal with its reason.
//
// Everything here is pure. A decision hands back a new record of the next generation; who may install it is decided elsewhere.
package repair

import (
	"fmt"
	"slices"
	"strings"

	"hafs/lib/cluster/record"
)

// Refusal says why there is no next record.
type Refusal struct{ Reason string }

func (r Refusal) Error() string { return r.Reason }

func refuse(text string, args ...any) (record.Record, error) {
	return record.Record{}, Refusal{Reason: fmt.Sprintf(text, args...)}
}

// Nothing is the answer when the record already says what was asked for.
type Nothing struct{ Reason string }

func (n Nothing) Error() string { return n.Reason }

// Repair is the record after the servers gone have failed.
//
// A lost DRS1 is followed by its DRS2, a lost FS by the best DRS1 (see successor), whose own DRS2 moves up; spares fill what is
// empty in their order, DRS1 places before DRS2 places, and a place that nobody can fill is in trouble. The gone are failed. (Paper 4.1, 5.2.)
func Repair(r record.Record, gone []string, positions Positions) (record.Record, error) {
	next := r.Clone()
	lost := map[string]bool{}
	for _, name := range gone {
		s, known := r.Server(name)
		if !known {
			return refuse("%s is not in the server list", name)
		}
		if s.Status != record.Failed {
			lost[name] = true
		}
	}
	if len(lost) == 0 {
		return record.Record{}, Nothing{Reason: "failed already: " + strings.Join(gone, ", ")}
	}
	for i := range next.Servers {
		if lost[next.Servers[i].Name] {
			next.Servers[i].Status = record.Failed
		}
	}
	for i, p := range next.Pairs {
		next.Pairs[i] = vacate(p, lost)
	}
	if lost[r.FS.Name] {
		fs, err := successor(r, gone, positions)
		if err != nil {
			return record.Record{}, err
		}
		next.FS.Name = fs
		for i, p := range next.Pairs {
			next.Pairs[i] = vacate(p, map[string]bool{fs: true})
		}
	}
	fill(&next)
	return finish(next)
}

// vacate empties the places of those who left; a DRS2 moves up to an empty DRS1 place.
func vacate(p record.Pair, left map[string]bool) record.Pair {
	if left[p.DRS2] {
		p.DRS2 = record.Trouble
	}
	if left[p.DRS1] {
		p.DRS1, p.DRS2 = p.DRS2, record.Trouble
	}
	return p
}

// fill puts spares into empty places: DRS1 places of all pairs first, then DRS2 places.
func fill(r *record.Record) {
	spares := r.WithStatus(record.Spare)
	for _, place := range emptyPlaces(r) {
		if len(spares) == 0 {
			return
		}
		*place = spares[0]
		setStatus(r, spares[0], record.Active)
		spares = spares[1:]
	}
}

func emptyPlaces(r *record.Record) []*string {
	var first, second []*string
	for i := range r.Pairs {
		if r.Pairs[i].DRS1 == record.Trouble {
			first = append(first, &r.Pairs[i].DRS1)
		}
		if r.Pairs[i].DRS2 == record.Trouble {
			second = append(second, &r.Pairs[i].DRS2)
		}
	}
	return append(first, second...)
}

func setStatus(r *record.Record, name string, status record.Status) {
	i := slices.IndexFunc(r.Servers, func(s record.Server) bool { return s.Name == name })
	r.Servers[i].Status = status
}

func finish(next record.Record) (record.Record, error) {
	next.Generation++
	if err := next.Validate(); err != nil {
		return record.Record{}, fmt.Errorf("the next record would be wrong: %w", err)
	}
	return next, nil
}

// Admit is the record after a failed server has come back: it takes the first place in trouble, DRS1 places before DRS2 places, or
// else waits as a spare. (Paper 4.3.)
func Admit(r record.Record, name string) (record.Record, error) {
	s, known := r.Server(name)
	if !known {
		return refuse("%s is not in the server list", name)
	}
	if s.Status != record.Failed {
		return record.Record{}, Nothing{Reason: fmt.Sprintf("%s is %s, not failed", name, s.Status)}
	}
	next := r.Clone()
	setStatus(&next, name, record.Spare)
	fill(&next)
	return finish(next)
}

// Switchover is the record after a planned move of the file sharing server to a DRS1. The two change places, so that no other server
// has to move and the old FS, which has everything, needs no filling.
func Switchover(r record.Record, name string) (record.Record, error) {
	switch r.Role(name) {
	case record.RoleNone:
		return refuse("%s is not in the server list", name)
	case record.RoleFS:
		return record.Record{}, Nothing{Reason: name + " is the file sharing server already"}
	case record.RoleDRS1:
	default:
		return refuse("%s is %s; only a DRS1 can take over at once: %s", name, r.Role(name), strings.Join(r.DRS1s(), ", "))
	}
	next := r.Clone()
	next.Pairs[r.PairOf(name)].DRS1 = r.FS.Name
	next.FS.Name = name
	return finish(next)
}
