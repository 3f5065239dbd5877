package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// examinations are the times that operators choose.
var examinations = []time.Duration{examination / 2, examination, 2 * examination, 4 * examination}

// rollOut lets operators change the examination time in every second world: servers begin with one each, and get others one by one, by a restart of their
// programs. It draws from numbers of its own.
func (w *world) rollOut(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0xe4a))
	if rng.IntN(2) == 0 {
		return
	}
	draw := func() time.Duration { return examinations[rng.IntN(len(examinations))] }
	first := draw()
	for _, s := range w.servers {
		s.examination = first
		if rng.IntN(3) == 0 {
			s.examination = draw()
		}
		s.disk.times.Shortest, s.disk.times.Longest = s.examination, s.examination
	}
	for at := time.Duration(0); at < faultTime; at += time.Duration(rng.Int64N(int64(8 * time.Second))) {
		next, order := draw(), rng.Perm(len(w.servers))
		if rng.IntN(2) == 0 { // the first one's turn comes first: it is the file sharing server in the beginning
			first := slices.Index(order, 0)
			order[0], order[first] = order[first], order[0]
		}
		for _, i := range order[:1+rng.IntN(len(order))] { // some roll-outs are broken off
			at += time.Duration(rng.Int64N(int64(300 * time.Millisecond)))
			s := w.servers[i]
			w.at(at, func() {
				if !w.calm {
					w.say(s, "its examination time becomes %s", next)
					s.examination = next
					s.kill()
				}
			})
		}
	}
}

// healTime is as many times longer as the examination time that servers have in the end: one failed server after the other is taken back.
func (w *world) healTime() time.Duration {
	longest := examination
	for _, s := range w.servers {
		longest = max(longest, s.examination)
	}
	return healTime * (longest / examination)
}
