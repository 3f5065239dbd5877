package sim

import (
	"slices"
	"time"

	"hafs/lib/cluster/record"
)

// promises is what clients were told by a barrier.
type promises struct {
	written int32
	told    map[int32]promise
	decided map[string]time.Duration // when the decision for a record with a new file sharing server was first begun
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

func (p *promises) decide(asked time.Duration, current, next *record.Record) {
	if p.decided == nil {
		p.decided = map[string]time.Duration{}
	}
	if line := describe(next); next.FS.Name != current.FS.Name && p.decided[line] == 0 {
		p.decided[line] = asked
	}
}

// succeed: I3 as far as the rules promise it. What a barrier had acknowledged before the succession was decided is on the new file sharing server, if any
// complete DRS1 that lives on has it. Decided means: before the proposer asked the replicas how far they are; for a planned move, before it looked whether
// the successor has everything.
func (p *promises) succeed(w *world, before, next *record.Record) {
	decided := p.decided[describe(next)]
	successor := w.byName[next.FS.Name].data.ops
	for op, told := range p.told {
		if slices.Contains(successor, op) {
			continue
		}
		delete(p.told, op)
		w.counts.Lost++
		if !told.clean || told.at > decided {
			continue
		}
		for _, name := range before.DRS1s() {
			d := w.byName[name].data
			if next.Role(name) != record.RoleFailed && d.position.Complete && slices.Contains(d.ops, op) {
				w.fail("I3", "operation %d, acknowledged at %s, is on %s but not on the new file sharing server %s, which has %d",
					op, stamp(told.at), name, next.FS.Name, len(successor))
				return
			}
		}
	}
}
