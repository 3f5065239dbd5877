package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/record"
)

// describe writes a record on one line; equal lines are equal records here.
func describe(r *record.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d fs=%s pairs=", r.Generation, r.FS.Name)
	for i, p := range r.Pairs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p.DRS1 + "/" + p.DRS2)
	}
	for _, status := range []record.Status{record.Spare, record.Failed} {
		b.WriteString(" " + string(status) + "=" + strings.Join(r.WithStatus(status), ","))
	}
	return b.String()
}

// history is what all servers together have chosen, from the outside.
type history struct {
	generations map[uint64]*record.Record
	lines       map[uint64]string
	votes       map[uint64]map[agree.Ballot]map[string]string // generation, ballot, voter: record
	newest      uint64
}

func (h *history) begin(first *record.Record) {
	h.generations, h.lines = map[uint64]*record.Record{first.Generation: first}, map[uint64]string{first.Generation: describe(first)}
	h.votes, h.newest = map[uint64]map[agree.Ballot]map[string]string{}, first.Generation
}

// vote notes a vote that is about to be told.
func (h *history) vote(w *world, s *server, b agree.Ballot, value record.Record) {
	n := value.Generation
	if h.votes[n] == nil {
		h.votes[n] = map[agree.Ballot]map[string]string{}
	}
	if h.votes[n][b] == nil {
		h.votes[n][b] = map[string]string{}
	}
	h.votes[n][b][s.name] = describe(&value)
	if before := h.generations[n-1]; before != nil {
		if line := h.chosen(n, before); h.lines[n] != "" && line != "" && line != h.lines[n] {
			w.fail("I2", "a majority voted for %s, and %s is installed", line, h.lines[n])
		}
	}
}

// chosen is the record that a majority of the members of the generation before voted for under one ballot; when there are two, the one that is not
// installed.
func (h *history) chosen(n uint64, before *record.Record) string {
	found := ""
	for _, b := range slices.SortedFunc(maps.Keys(h.votes[n]), agree.Ballot.Compare) {
		count := map[string]int{}
		for voter, line := range h.votes[n][b] {
			if slices.Contains(before.Members(), voter) {
				count[line]++
			}
		}
		for line, votes := range count {
			if votes >= before.Majority() && (found == "" || line != h.lines[n]) {
				found = line
			}
		}
	}
	return found
}

// install: I2. The first to install a generation shows which it is; nobody may install another, and it must have been chosen by its predecessor's
// members.
func (h *history) install(w *world, s *server, r *record.Record) {
	line, n := describe(r), r.Generation
	if known, ok := h.lines[n]; ok {
		if known != line {
			w.fail("I2", "%s installs %s, others %s", s.name, line, known)
		}
		return
	}
	before := h.generations[n-1]
	switch {
	case before == nil:
		w.fail("I2", "%s installs %s, whose predecessor nobody has", s.name, line)
		return
	case h.chosen(n, before) != line:
		w.fail("I2", "%s installs %s, which no majority of %s voted for", s.name, line, describe(before))
		return
	}
	h.generations[n], h.lines[n], h.newest = r, line, max(h.newest, n)
	w.counts.Generations++
	for _, server := range r.Servers {
		if server.Status != record.Failed && before.Role(server.Name) == record.RoleFailed {
			w.counts.Admissions++
		}
	}
	if before.FS.Name != r.FS.Name {
		w.counts.Successions++
		if len(r.WithStatus(record.Failed)) == len(before.WithStatus(record.Failed)) {
			w.counts.Switchovers++
		}
		w.data.succeed(w, before, r)
	}
}

// checkLoaded: I7. What a server finds on its disk is one whole generation that was chosen, and not older than the one it acted in.
func (w *world) checkLoaded(s *server) {
	r := s.disk.record
	if known, ok := w.history.lines[r.Generation]; ok && known != describe(r) {
		w.fail("I7", "%s finds %s, others have %s", s.name, describe(r), known)
	}
	if r.Generation < s.acted {
		w.fail("I7", "%s acted in generation %d and finds %d", s.name, s.acted, r.Generation)
	}
	s.acted = r.Generation
}

// checkServing: I1. Left out is a server whose machine was suspended while it held its lease and that was not granted a new one since: no clock
// of its own can tell it. Replicas refuse it (checkFed).
func (w *world) checkServing() {
	var first *server
	for _, s := range w.servers {
		if !s.up || !s.isFS() {
			s.served = false
			continue
		}
		if serves := s.serves(); serves != s.served {
			s.served = serves
			w.say(s, "serves: %t, lease for %s", serves, s.serving.end.Sub(s.time()).Round(time.Millisecond))
		}
		if !s.servesClean() {
			continue
		}
		if first != nil {
			w.fail("I1", "%s serves in generation %d and %s in generation %d", first.name, first.record.Generation, s.name, s.record.Generation)
		}
		first = s
	}
}

// checkFed: fencing. A replica takes nothing of a generation older than the one it has confirmed, and only from its feeder in that generation.
func (w *world) checkFed(s, from *server, generation uint64) {
	if generation < s.record.Generation {
		w.fail("fencing", "%s of generation %d takes a write of %s in generation %d", s.name, s.record.Generation, from.name, generation)
	}
	if r := w.history.generations[generation]; r == nil || r.FS.Name != from.name && !slices.Contains(r.DRS1s(), from.name) {
		w.fail("fencing", "%s takes a write of %s, which feeds nobody in generation %d", s.name, from.name, generation)
	}
}

// checkCopy: I4. A copy that comes to a position, and counts, is its feeder's share as it was told there, but for what was written since.
func (w *world) checkCopy(s, from *server, b batch) {
	for p, has := range s.data.share {
		if !startsWith(has, b.told[p]) || !startsWith(b.share[p], has) {
			w.fail("I4", "%s counts as a copy of %s at %d/%d, and has %v at path %d instead of %v",
				s.name, from.name, b.position.Generation, b.position.Number, has, p, b.share[p])
			return
		}
	}
}

// unwhole is why the cluster is not whole yet; empty when it is.
func (w *world) unwhole() string {
	newest := w.history.generations[w.history.newest]
	serving := []string{}
	for _, s := range w.servers {
		switch {
		case !s.up || s.pause != running:
			return s.name + " does not run"
		case !s.confirmed:
			return s.name + " has not confirmed its generation"
		case s.record.Generation != newest.Generation:
			return fmt.Sprintf("%s has generation %d, the newest is %d", s.name, s.record.Generation, newest.Generation)
		case s.serves():
			serving = append(serving, s.name)
		}
	}
	if failed := newest.WithStatus(record.Failed); len(failed) > 0 {
		return "still failed: " + strings.Join(failed, ", ")
	}
	if len(serving) != 1 || serving[0] != newest.FS.Name {
		return fmt.Sprintf("the file sharing server is %s, serving: %v", newest.FS.Name, serving)
	}
	return ""
}
