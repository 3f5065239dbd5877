package link

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/record"
)

// Report is a promotion to be started.
type Report struct {
	Server string
	After  time.Duration // unless the record has changed by then
}

// Reports decides which lost servers this one has to report, and how soon. The first watcher in the record's order (FS, then the
// DRS1s) that is not lost itself reports at once, the next one waits, and so on: agreement would cope with all at the same time, but
// rivals cost rounds.
func Reports(r record.Record, self string, lost map[string]bool, pause time.Duration) []Report {
	watchers := slices.DeleteFunc(r.Watchers(), func(w string) bool { return lost[w] })
	rank := slices.Index(watchers, self)
	if rank < 0 {
		return nil
	}
	var reports []Report
	for _, name := range r.Members() {
		if lost[name] && name != self {
			reports = append(reports, Report{Server: name, After: time.Duration(rank) * pause})
		}
	}
	return reports
}

// Wanted decides to whom a server keeps a link: watchers to everybody, so that whoever has to act can ask all without a handshake; a
// server whose record is not confirmed yet to everybody too, until it is.
func Wanted(r record.Record, self string, confirmed bool) []string {
	if confirmed && !slices.Contains(r.Watchers(), self) {
		return nil
	}
	var names []string
	for _, s := range r.Servers {
		if s.Name != self {
			names = append(names, s.Name)
		}
	}
	return names
}

// Standing is the judgement over this server's own record after asking the others.
type Standing struct {
	Confirmed bool   // a majority of the members has this generation, and nobody a newer one
	Newer     string // a server that has a newer one
}

// Stand decides whether a server that was away may believe its record. generations holds what the others answered.
func Stand(r record.Record, self string, generations map[string]uint64) Standing {
	same := 0
	for _, name := range r.Members() {
		if g, answered := generations[name]; name == self || answered && g == r.Generation {
			same++
		}
	}
	var newest uint64
	standing := Standing{}
	for _, name := range slices.Sorted(maps.Keys(generations)) {
		if g := generations[name]; g > r.Generation && g > newest {
			newest, standing.Newer = g, name
		}
	}
	standing.Confirmed = standing.Newer == "" && len(r.Members()) > 0 && same >= r.Majority()
	return standing
}

// Newest finds a server that has a newer generation than this one, and which; empty when there is none.
func Newest(have uint64, seen map[string]uint64) (from string, newest uint64) {
	newest = have
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if g := seen[name]; g > newest {
			from, newest = name, g
		}
	}
	return from, newest
}

// Due decides which reports are to be made now. due holds when each was to be made next and is brought up to date: a report that is made is
// due again after again, while nothing has changed. wait is how long it is to the next one; 0 when there is none.
func Due(now time.Time, due map[string]time.Time, reports []Report, again time.Duration) (start []string, wait time.Duration) {
	for name := range due {
		if !slices.ContainsFunc(reports, func(r Report) bool { return r.Server == name }) {
			delete(due, name)
		}
	}
	for _, r := range reports {
		if _, waiting := due[r.Server]; !waiting {
			due[r.Server] = now.Add(r.After)
		}
		if !now.Before(due[r.Server]) {
			start = append(start, r.Server)
			due[r.Server] = now.Add(again)
		}
		if left := due[r.Server].Sub(now); wait == 0 || left < wait {
			wait = left
		}
	}
	return start, wait
}

// Returning says whether a server is to be taken back: it has failed, says that it is fit and for how long it promises, and this server is the file sharing
// server.
func Returning(r record.Record, self, name string, f Facts) bool {
	return f.Fit && f.Examination > 0 && r.Role(name) == record.RoleFailed && r.Role(self) == record.RoleFS
}

// Voter is what a member weighs when it is asked for a vote.
type Voter struct {
	Self        string
	Have        record.Record
	Confirmed   bool
	HandsOver   bool          // the file sharing server asks itself, and has given its lease up
	Silence     time.Duration // of the file sharing server
	Examination time.Duration
}

// Refusal is the answer of a member that does not vote for a record, whatever the ballot; false when ballots decide.
func (v Voter) Refusal(from string, wanted record.Record) (agree.Answer, bool) {
	if err := wanted.Newer(); err != nil {
		return agree.Answer{Reason: err.Error()}, true
	}
	if v.Have.Generation >= wanted.Generation {
		a := agree.Answer{Reason: fmt.Sprintf("has generation %d already", v.Have.Generation)}
		if v.Have.Generation == wanted.Generation {
			a.Chosen = &v.Have
		}
		return a, true
	}
	if reason := objection(v.Have, wanted, from, v.Self, v.Confirmed, v.HandsOver, v.Silence, v.Examination); reason != "" {
		return agree.Answer{Reason: reason, Wait: max(0, v.Examination-v.Silence)}, true
	}
	return agree.Answer{}, false
}

// Cast answers a prepare or an accept. The vote must be on disk before the answer is given.
func Cast(v agree.Vote, kind Kind, b agree.Ballot, wanted record.Record) (agree.Vote, agree.Answer) {
	if kind == Accept {
		return v.Accept(b, wanted)
	}
	return v.Prepare(b)
}

// objection is why a member does not vote for a record, whatever the ballot; empty when it has none.
//
// The file sharing server's heartbeats count as a promise: whoever heard one within the examination time does not help to replace it. So one DRS1 that
// cannot reach FS while the others can is its own failure, not FS's. FS itself may hand its role over: then it has given its lease up before it asked, and
// sought none since (handsOver).
func objection(have, wanted record.Record, from, self string, confirmed, handsOver bool, fsSilence, examination time.Duration) string {
	replaced := have.FS.Name != wanted.FS.Name
	switch {
	case !confirmed:
		return "does not know yet whether its own generation is the newest"
	case wanted.Cluster != have.Cluster:
		return fmt.Sprintf("is of cluster %q", have.Cluster)
	case wanted.Generation != have.Generation+1:
		return fmt.Sprintf("has generation %d, so %d is not the next", have.Generation, wanted.Generation)
	case have.Role(from) == record.RoleNone || have.Role(from) == record.RoleFailed:
		return fmt.Sprintf("%s is no member in generation %d", from, have.Generation)
	case have.Role(self) == record.RoleFailed:
		return "has failed itself in this generation"
	case replaced && !handsOver && self == have.FS.Name:
		return "is the file sharing server and works"
	case replaced && !handsOver && fsSilence < examination:
		return fmt.Sprintf("heard the file sharing server %s %d ms ago", have.FS.Name, fsSilence.Milliseconds())
	}
	return ""
}
