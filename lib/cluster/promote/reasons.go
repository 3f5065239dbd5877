package promote

import (
	"fmt"
	"slices"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// reasons finds for each difference between two records the rule of package repair that made it.
type reasons struct {
	before, after record.Record
	gone          []string // by the asker's word; others that fail do not answer
	positions     repair.Positions
}

// changes lists the differences: who fails, who becomes FS, then pair after pair.
func (x reasons) changes() []Change {
	var changes []Change
	add := func(name string) {
		changes = append(changes, Change{Server: name, From: place(x.before, name), To: place(x.after, name), Why: x.why(name)})
	}
	for _, name := range x.after.WithStatus(record.Failed) {
		if x.before.Role(name) != record.RoleFailed {
			add(name)
		}
	}
	if x.before.FS.Name != x.after.FS.Name {
		add(x.after.FS.Name)
	}
	for i, p := range x.after.Pairs {
		old := x.before.Pairs[i]
		for _, now := range []struct{ field, name, was string }{{"drs1", p.DRS1, old.DRS1}, {"drs2", p.DRS2, old.DRS2}} {
			switch {
			case now.name == now.was:
			case now.name == record.Trouble:
				changes = append(changes, Change{From: fmt.Sprintf("%s of pair %d", now.field, i+1), To: record.Trouble, Why: x.emptied(i, now.field) + ", and no spare is left"})
			default:
				add(now.name)
			}
		}
	}
	return changes
}

// why a server is in the later record what it is.
func (x reasons) why(name string) string {
	i := x.after.PairOf(name)
	switch role, was := x.after.Role(name), x.before.Role(name); {
	case role == record.RoleFailed && slices.Contains(x.gone, name):
		return "it is gone"
	case role == record.RoleFailed:
		return "it does not answer"
	case role == record.RoleFS && was == record.RoleDRS1:
		return fmt.Sprintf("%s, and of the DRS1s left %s is %s", x.left(x.before.FS.Name), name, x.best(x.before.DRS1s(), name))
	case role == record.RoleFS:
		return fmt.Sprintf("%s, no DRS1 is left, and of the DRS2s left %s is %s", x.left(x.before.FS.Name), name, x.best(x.after.DRS1s(), name))
	case role == record.RoleDRS1 && was == record.RoleDRS2:
		return fmt.Sprintf("%s, and its DRS2 follows", x.left(x.before.Pairs[i].DRS1))
	}
	order := "next"
	if spares := x.before.WithStatus(record.Spare); spares[0] == name {
		order = "first"
	}
	return fmt.Sprintf("%s, and %s is the %s spare", x.emptied(i, string(x.after.Role(name))), name, order)
}

// emptied says why nobody of the earlier record is in a place any more.
func (x reasons) emptied(pair int, field string) string {
	p := x.before.Pairs[pair]
	if field == "drs2" {
		return x.left(p.DRS2)
	}
	if p.DRS2 == record.Trouble {
		return x.left(p.DRS1) + ", it had no DRS2"
	}
	return x.left(p.DRS1) + ", " + x.left(p.DRS2)
}

// left says how a server left its place.
func (x reasons) left(name string) string {
	switch {
	case name == record.Trouble:
		return "the place was in trouble"
	case x.after.Role(name) == record.RoleFS:
		return name + " becomes the file sharing server"
	case x.after.Role(name) == record.RoleDRS1:
		return name + " moves up"
	}
	return name + " is gone"
}

// best says why one of several replicas succeeds: ties are decided by the order of the pairs.
func (x reasons) best(candidates []string, name string) string {
	for _, c := range candidates {
		if p, known := x.positions[c]; c == name {
			break
		} else if x.after.Role(c) != record.RoleFailed && known && (!p.Complete || x.positions[name] != p) {
			return "the furthest"
		}
	}
	return "the first"
}
