package witness

import (
	"fmt"
	"slices"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/shape"
	"hafs/lib/replication/mirror"
)

// Disappointment is one thing that is not as it should be, and the guest to ask why; no guest stands for the cluster as a whole.
type Disappointment struct{ Guest, Text string }

func (d Disappointment) String() string {
	if d.Guest == "" {
		return d.Text
	}
	return d.Guest + ": " + d.Text
}

// Newest is the record of the highest generation that a guest has.
func Newest(sights []Sight) (record.Record, bool) {
	var newest record.Record
	found := false
	for _, s := range sights {
		if s.Record != nil && (!found || s.Record.Generation > newest.Generation) {
			newest, found = *s.Record, true
		}
	}
	return newest, found
}

// Disappointments lists what keeps the guests from being a cluster in the shape wanted: all members there, of one generation, in their roles,
// with one virtual address among all guests and /system leading where it should. With complete, every replica must be complete too.
func Disappointments(sights []Sight, wanted shape.Shape, complete bool) []Disappointment {
	r, found := Newest(sights)
	if !found {
		return []Disappointment{{"", "no guest has a record"}}
	}
	var all []Disappointment
	for _, text := range wanted.Mismatches(r) {
		all = append(all, Disappointment{"", fmt.Sprintf("generation %d: %s", r.Generation, text)})
	}
	for _, name := range r.Members() {
		i := slices.IndexFunc(sights, func(s Sight) bool { return s.Name == name })
		if i < 0 {
			all = append(all, Disappointment{name, "is a member, but no guest"})
			continue
		}
		for _, text := range member(sights[i], r, complete) {
			all = append(all, Disappointment{name, text})
		}
	}
	return append(all, addresses(sights, r)...)
}

// member lists what is wrong with one member of the newest generation. Of a chain of things only the first is told.
func member(s Sight, r record.Record, complete bool) []string {
	switch {
	case s.State != "up":
		return []string{fmt.Sprintf("is a member, but %s", s.State)}
	case s.CutOff:
		return []string{"is a member, but cut off"}
	case s.Record == nil:
		return []string{s.Problem}
	case s.Record.Digest() != r.Digest():
		return []string{fmt.Sprintf("has record %s, the newest is %s", s.Record, r)}
	case s.Confirmed != r.Generation:
		return []string{fmt.Sprintf("has confirmed generation %d, not %d", s.Confirmed, r.Generation)}
	case s.Role.Generation != r.Generation:
		return []string{fmt.Sprintf("has the role of generation %d, not %d", s.Role.Generation, r.Generation)}
	case s.Role.Problem != "":
		return []string{"role: " + s.Role.Problem}
	case s.Role.Role != r.Role(s.Name):
		return []string{fmt.Sprintf("is %s, not %s", s.Role.Role, r.Role(s.Name))}
	}
	var all []string
	if want := linkTo(r, s); s.LinkTo != want {
		all = append(all, fmt.Sprintf("%s leads to %q, not %q", r.FS.Link, s.LinkTo, want))
	}
	if complete {
		all = append(all, unfilled(s, r)...)
	}
	return all
}

func linkTo(r record.Record, s Sight) string {
	if r.FS.Name == s.Name {
		return r.FS.SharedArea
	}
	return s.Settings.Run("client")
}

// Fed lists the replicas a server feeds in a record.
func Fed(r record.Record, name string) []string {
	switch r.Role(name) {
	case record.RoleFS:
		return r.DRS1s()
	case record.RoleDRS1:
		if second := r.Pairs[r.PairOf(name)].DRS2; second != record.Trouble {
			return []string{second}
		}
	}
	return nil
}

func unfilled(s Sight, r record.Record) []string {
	fed := Fed(r, s.Name)
	if len(fed) == 0 {
		return nil
	}
	if s.Mirror.Generation != r.Generation {
		return []string{fmt.Sprintf("mirrors in generation %d, not %d", s.Mirror.Generation, r.Generation)}
	}
	var all []string
	for _, name := range fed {
		i := slices.IndexFunc(s.Mirror.Replicas, func(x mirror.ReplicaStatus) bool { return x.Name == name })
		if i < 0 {
			all = append(all, "does not mirror to "+name)
			continue
		}
		x := s.Mirror.Replicas[i]
		if x.State != mirror.Complete || x.Generation != r.Generation {
			text := fmt.Sprintf("its replica %s is %s, and was last complete in generation %d", name, x.State, x.Generation)
			if x.Error != "" {
				text += ": " + x.Error
			}
			all = append(all, text)
		}
		for _, l := range x.Lacks {
			all = append(all, fmt.Sprintf("its replica %s lacks %s: %s", name, l.Path, l.Cause))
		}
	}
	return all
}

// addresses checks that exactly one of all guests has the virtual address, those that failed or are frozen or cut off included.
func addresses(sights []Sight, r record.Record) []Disappointment {
	var all []Disappointment
	held := false
	for _, s := range sights {
		switch {
		case s.Address && s.Name != r.FS.Name:
			all = append(all, Disappointment{s.Name, fmt.Sprintf("has the virtual address, which belongs to %s", r.FS.Name)})
		case s.Address:
			held = true
		}
	}
	if !held {
		all = append(all, Disappointment{r.FS.Name, "does not have the virtual address"})
	}
	return all
}
