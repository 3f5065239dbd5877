package sim

import (
	"time"

	"hafs/lib/cluster/record"
)

// promises is what clients were told by a barrier.
type promises struct {
	written int32
	told    map[int32]promise
	decided map[string]decision // for a record with a new file sharing server, as it was first begun
}

// decision is what there was when one was begun.
type decision struct {
	at     time.Duration
	copies map[string]share // of the complete DRS1s, as they were when they came to their positions
}

// begin begins a decision.
func (w *world) begin(current *record.Record) decision {
	d := decision{at: w.now, copies: map[string]share{}}
	for _, name := range current.DRS1s() {
		if copied := w.byName[name].data; copied.position.Complete {
			d.copies[name] = copied.known
		}
	}
	return d
}

type promise struct {
	at    time.Duration
	clean bool // not told by a server that only a suspended clock kept serving
}

func (p *promises) promise(w *world, op int32, s *server) {
	if p.told == nil {
		p.told = map[int32]promise{}
	}
	if _, before := p.told[op]; !before {
		w.counts.Promised++
		p.told[op] = promise{at: w.now, clean: s.servesClean()}
	}
}

func (p *promises) decide(begun decision, current, next *record.Record) {
	if p.decided == nil {
		p.decided = map[string]decision{}
	}
	line := describe(next)
	if _, before := p.decided[line]; next.FS.Name != current.FS.Name && !before {
		p.decided[line] = begun
	}
}

// succeed: I3 as far as the rules promise it. What a barrier had acknowledged before the succession was decided is on the new file sharing server, if any
// complete DRS1 that lives on had it then. Decided means: before the proposer asked the replicas how far they are; for a planned move, before it looked whether
// the successor has everything.
func (p *promises) succeed(w *world, before, next *record.Record) {
	decided := p.decided[describe(next)]
	successor := &w.byName[next.FS.Name].data.share
	for op, told := range p.told {
		if successor.has(op) {
			continue
		}
		delete(p.told, op)
		w.counts.Lost++
		if !told.clean || told.at > decided.at {
			continue
		}
		for _, name := range before.DRS1s() {
			if had := decided.copies[name]; next.Role(name) != record.RoleFailed && had.has(op) {
				w.fail("I3", "operation %d, acknowledged at %s, was on %s then but is not on the new file sharing server %s, which has %d",
					op, stamp(told.at), name, next.FS.Name, len(successor.all()))
				return
			}
		}
	}
}
