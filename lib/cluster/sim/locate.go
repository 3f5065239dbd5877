package sim

import (
	"slices"
	"time"

	"hafs/lib/cluster/promote"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

const (
	tardiness = 0.7             // how likely an answer is late, with Options.Tardy
	tardiest  = 2 * time.Second // by how much at most; promote.LocatePatience at least
)

// locate asks the replicas how far they are, if one of them has to succeed the file sharing server. What is known and how long the rest is waited for say
// promote.Located and, in then, repair.Repair.
func (s *server) locate(current record.Record, lost func() []string, then func(gone []string, positions repair.Positions)) {
	gone := lost()
	if !slices.Contains(gone, current.FS.Name) || s.world.rules.ignorePosition {
		then(gone, repair.Unnumbered)
		return
	}
	positions, began, over := repair.Positions{}, s.time(), false
	look := func() {
		if !over && promote.Located(current, gone, positions, s.time().Sub(began)) {
			over = true
			then(gone, s.world.broken(current, gone, positions))
		}
	}
	for _, pair := range current.Pairs {
		for _, name := range []string{pair.DRS1, pair.DRS2} {
			if name == record.Trouble || slices.Contains(gone, name) || !s.reaches(s.world.byName[name]) {
				continue
			}
			to := s.world.byName[name]
			ask(s, to, to.tell, func(p repair.Position) {
				if !over {
					positions[name] = p
					look()
				}
			})
		}
	}
	var wait func()
	wait = func() {
		if look(); !over {
			gone = lost()
			s.after(promote.LocatePause, wait)
		}
	}
	wait()
}

// tell answers how far this server's copy is.
func (s *server) tell(respond func(repair.Position)) {
	if w := s.world; w.tardy && !w.calm && w.chance(tardiness) {
		s.after(w.between(promote.LocatePatience, tardiest), func() { respond(s.position()) })
		return
	}
	respond(s.position())
}

func (s *server) position() repair.Position {
	p := s.data.position
	return repair.Position{Complete: p.Complete, Generation: p.Generation, Number: p.Number}
}

// broken is what a proposer takes positions for whose rule is broken on purpose.
func (w *world) broken(current record.Record, gone []string, positions repair.Positions) repair.Positions {
	candidates, complete := repair.Candidates(current, gone), 0
	for _, name := range candidates {
		if positions[name].Complete {
			complete++
		}
	}
	for _, name := range candidates {
		if _, answered := positions[name]; answered {
			continue
		}
		switch {
		case w.rules.silentIsWhole:
			positions[name] = repair.Position{Complete: true}
		case w.rules.fewAreEnough, w.rules.movedUpIsSure && 2*complete >= len(current.DRS1s()):
			positions[name] = repair.None
		}
	}
	return positions
}
