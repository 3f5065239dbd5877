// Package role makes this server be what the record says it is: where /system leads, which units run, which sessions of peers may go on. The
// virtual address goes with the lease and is hafs-linkcheck's (package link).
//
// plan.go is pure: from the record and what is there now to ordered steps. apply.go carries them out, observe.go looks, pull.go brings a
// server that was away up to date.
package role

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
)

// Action is what a step does.
type Action string

const (
	EndSession  Action = "end session"
	StopUnit    Action = "stop"
	Link        Action = "link"
	RestartUnit Action = "restart"
	StartUnit   Action = "start"
)

// Step is one thing to be done. Steps of one phase do not depend on each other.
type Step struct {
	Phase  int
	Action Action
	Target string
	PID    int // of EndSession
}

func (s Step) String() string { return string(s.Action) + " " + s.Target }

// Now is what was found on this server.
type Now struct {
	Confirmed bool              // the record is known to be the newest
	Leased    bool              // as FS it has the lease
	Draining  bool              // as FS it is about to hand its role over
	Torn      bool              // a file of its copy may be neither old nor new, until hafs-mirror has made it whole
	LinkTo    string            // where /system leads; empty: nowhere
	Units     map[string]bool   // those that run
	Ending    map[string]bool   // those that end just now, and would be started again
	Mounted   map[string]string // replica unit → the server it was started for
	Sessions  []Session
}

// Session is an open session of a peer.
type Session struct {
	gate.Session
	PID int
}

// Places are directories outside the record.
type Places struct {
	Client  string // where the share is mounted on servers other than FS
	Nowhere string // a path that does not exist: /system leads there while this server has no part
}

// Wanted is how this server should be.
type Wanted struct {
	LinkTo   string
	Units    []string          // in no order
	Mounted  map[string]string // replica unit → DRS1
	Sessions func(gate.Session) bool
}

// managed lists the units that this package starts and stops, besides one hafs-replica@ per pair. hafs-watch and hafs-mirror run on every
// member all the time: a server whose role begins has nothing to start first.
var managed = []string{"hafs-client.service", "hafs-probe.timer"}

// ReplicaUnit is the unit that mounts the DRS1 of a pair on FS; pairs count from 0.
func ReplicaUnit(pair int) string { return fmt.Sprintf("hafs-replica@%d.service", pair+1) }

// replicaUnits is the pattern of all of them, those of pairs that are gone from the record included.
const replicaUnits = "hafs-replica@*.service"

// Managed lists all units this package may start or stop for a record.
func Managed(r record.Record) []string {
	units := slices.Clone(managed)
	for i := range r.Pairs {
		units = append(units, ReplicaUnit(i))
	}
	return units
}

// Want decides how a server should be. A server that failed, or does not know yet whether its record is the newest, has no part. FS without a lease shows
// the share to nobody, but keeps running what it needs as soon as it has one.
func Want(r record.Record, self string, now Now, places Places) Wanted {
	w := Wanted{LinkTo: places.Nowhere, Mounted: map[string]string{}, Sessions: func(gate.Session) bool { return false }}
	role := r.Role(self)
	if !now.Confirmed {
		role = record.RoleFailed
	}
	switch role {
	case record.RoleFS:
		// The client mount stays: programs that have files open in it go on when the role moves here.
		w.Units = []string{"hafs-client.service", "hafs-probe.timer"}
		for i, p := range r.Pairs {
			if p.DRS1 != record.Trouble {
				w.Units = append(w.Units, ReplicaUnit(i))
				w.Mounted[ReplicaUnit(i)] = p.DRS1
			}
		}
		if !now.Leased {
			w.LinkTo = places.Client // programs wait in the client mount, which leads to whoever has the lease, rather than fail
			w.Sessions = func(s gate.Session) bool { return s.Kind == gate.Compare }
			break
		}
		w.LinkTo = r.FS.SharedArea
		if now.Draining || now.Torn { // programs here wait like all other clients
			w.LinkTo = places.Client
		}
		// Whoever uses the share goes on using it; what goes on in a replica ended with the role.
		w.Sessions = func(s gate.Session) bool {
			return s.Kind != gate.Replica && r.Role(s.From) != record.RoleNone && (s.Kind != gate.Share || r.Role(s.From) != record.RoleFailed)
		}
	case record.RoleDRS1, record.RoleDRS2:
		w.LinkTo, w.Units = places.Client, []string{"hafs-client.service"}
		// A writer that does not feed this replica any more may be a deposed file sharing server.
		w.Sessions = func(s gate.Session) bool {
			return s.Kind == gate.Compare || s.Kind == gate.Replica && s.From == gate.Feeder(r, self)
		}
	case record.RoleSpare:
		w.LinkTo, w.Units = places.Client, []string{"hafs-client.service"}
	}
	return w
}

// Phases, in this order: what must end, what clients wait for, what else runs. The role is established when these are done. The mounts of
// replicas come last: a DRS1 that hangs must hold up nobody.
const (
	phaseEnd = iota
	phaseServe
	phaseRun
	phaseMount
)

// Plan lists the steps from now to wanted. It is empty when nothing is to be done.
func Plan(r record.Record, self string, now Now, places Places) []Step {
	w := Want(r, self, now, places)
	var steps []Step
	add := func(phase int, action Action, target string) {
		steps = append(steps, Step{Phase: phase, Action: action, Target: target})
	}
	for _, s := range now.Sessions {
		if !w.Sessions(s.Session) {
			steps = append(steps, Step{Phase: phaseEnd, Action: EndSession, Target: fmt.Sprintf("%s of %s", s.Kind, s.From), PID: s.PID})
		}
	}
	if now.LinkTo != w.LinkTo {
		add(phaseServe, Link, w.LinkTo)
	}
	for _, unit := range append(Managed(r), leftOver(r, now)...) {
		wanted := slices.Contains(w.Units, unit)
		switch {
		case (now.Units[unit] || now.Ending[unit]) && !wanted:
			// Stopped after the link has moved: nobody finds a dead mount behind /system.
			add(phaseOf(unit), StopUnit, unit)
		case now.Units[unit] && wanted && now.Mounted[unit] != w.Mounted[unit]:
			add(phaseOf(unit), RestartUnit, unit)
		case !now.Units[unit] && wanted:
			add(phaseOf(unit), StartUnit, unit)
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.Phase - b.Phase })
	return steps
}

// leftOver lists units of pairs that the record no longer has.
func leftOver(r record.Record, now Now) []string {
	units := slices.Sorted(maps.Keys(now.Units))
	units = append(units, slices.Sorted(maps.Keys(now.Ending))...)
	slices.Sort(units)
	return slices.DeleteFunc(slices.Compact(units), func(unit string) bool {
		return !strings.HasPrefix(unit, "hafs-replica@") || slices.Contains(Managed(r), unit)
	})
}

// phaseOf is when a unit is started, stopped or restarted.
func phaseOf(unit string) int {
	if strings.HasPrefix(unit, "hafs-replica@") {
		return phaseMount
	}
	return phaseRun
}
