package experiment

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/witness"
)

// Milestone is one step of a failover as a guest's journal tells it.
type Milestone struct {
	Guest      string    `json:"-"` // whose journal it is from
	Time       time.Time `json:"time"`
	Event      string    `json:"event"` // lost, back, proposed, chosen, installed, established, complete
	Peer       string    `json:"peer"`
	Generation uint64    `json:"generation"`
	Replica    string    `json:"replica"`
}

// ReadMilestones picks the milestones out of a journal. Other lines, and what is no JSON, are passed over.
func ReadMilestones(guest string, journal io.Reader) ([]Milestone, error) {
	var all []Milestone
	in := bufio.NewScanner(journal)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var m Milestone
		if json.Unmarshal(in.Bytes(), &m) == nil && m.Event != "" && !m.Time.IsZero() {
			m.Guest = guest
			all = append(all, m)
		}
	}
	return all, in.Err()
}

// Story is when the steps of one recovery were reached. A zero time stands for a step that was not.
type Story struct {
	Failure  time.Time // from outside
	Detected time.Time // the first server called the failed one lost
	Chosen   time.Time // the generation was chosen
	// Installed, Established, Complete: the last server that had to has the generation, the last has its role, the
	// last replica that got another feeder is complete.
	Installed, Established, Complete time.Time
	Kept                             time.Time // of Complete: the last replica that had been one before
	Missing                          []string  // what has not been reached, in words
}

// Restored is when the structure was whole again: the last of all steps.
func (s Story) Restored() time.Time {
	return slices.MaxFunc([]time.Time{s.Installed, s.Established, s.Complete}, time.Time.Compare)
}

// Tell puts the milestones after a moment in order. before is the record at that moment, after the one that followed, gone who failed; without gone the
// change was no repair, and nothing had to be detected.
func Tell(before, after record.Record, gone []string, failure time.Time, milestones []Milestone) Story {
	s := Story{Failure: failure}
	find := func(event string, fits func(Milestone) bool) time.Time {
		var first time.Time
		for _, m := range milestones {
			if m.Event == event && m.Time.After(failure) && fits(m) && (first.IsZero() || m.Time.Before(first)) {
				first = m.Time
			}
		}
		return first
	}
	last := func(into *time.Time, what string, at time.Time) {
		switch {
		case at.IsZero():
			s.Missing = append(s.Missing, what)
		case at.After(*into):
			*into = at
		}
	}
	if len(gone) > 0 {
		last(&s.Detected, "nobody called "+join(gone)+" lost", find("lost", func(m Milestone) bool { return slices.Contains(gone, m.Peer) }))
	}
	last(&s.Chosen, "no server reported the generation as chosen", find("chosen", func(m Milestone) bool { return m.Generation == after.Generation }))
	for _, name := range after.Members() {
		own := func(m Milestone) bool { return m.Guest == name && m.Generation == after.Generation }
		last(&s.Installed, name+" has not installed it", find("installed", own))
		last(&s.Established, name+" has not established its role", find("established", own))
	}
	for _, replica := range Refed(before, after) {
		feeder := feederOf(after, replica)
		at := find("complete", func(m Milestone) bool {
			return m.Guest == feeder && m.Replica == replica && m.Generation == after.Generation
		})
		last(&s.Complete, feeder+" has not completed its replica "+replica, at)
		if feederOf(before, replica) != "" && at.After(s.Kept) {
			s.Kept = at
		}
	}
	return s
}

// Refed lists the replicas that are fed by another server than before, or in another way, or were none before.
func Refed(before, after record.Record) []string {
	var all []string
	for _, name := range witness.Replicas(after) {
		if feederOf(before, name) != feederOf(after, name) || before.Role(name) != after.Role(name) {
			all = append(all, name)
		}
	}
	return all
}

// feederOf is the server that feeds a replica, empty for a server that is none.
func feederOf(r record.Record, name string) string {
	switch r.Role(name) {
	case record.RoleDRS1:
		return r.FS.Name
	case record.RoleDRS2:
		return r.Pairs[r.PairOf(name)].DRS1
	}
	return ""
}
