package sim

import "time"

// nextFault breaks something, and again a little later.
func (w *world) nextFault() {
	if w.calm {
		return
	}
	w.fault()
	if w.chance(0.2) { // two at one moment
		w.fault()
	}
	pause := w.between(50*time.Millisecond, 3*time.Second)
	w.at(pause, w.nextFault)
}

// somebody is a server, the file sharing server more often than others.
func (w *world) somebody() *server {
	newest := w.history.generations[w.history.newest]
	if w.chance(0.35) {
		return w.byName[newest.FS.Name]
	}
	return w.servers[w.rng.IntN(len(w.servers))]
}

func (w *world) down() int {
	down := 0
	for _, s := range w.servers {
		if !s.up {
			down++
		}
	}
	return down
}

func (w *world) fault() {
	s := w.somebody()
	if w.down()*2 >= len(w.servers) && w.chance(0.8) {
		return
	}
	switch w.rng.IntN(12) {
	case 0, 1:
		s.powerLoss("")
	case 2:
		s.kill()
	case 3:
		s.stop(frozen, w.between(50*time.Millisecond, 5*time.Second))
	case 4:
		s.stop(suspended, w.between(50*time.Millisecond, 8*time.Second))
	case 5, 6:
		w.isolate(s, w.rng.IntN(3))
	case 7:
		w.cutSome(s)
	case 8:
		w.split()
	case 9:
		w.oneWay()
	case 10:
		w.crashLoop()
	case 11:
		if fs := w.byName[w.history.generations[w.history.newest].FS.Name]; fs.up && fs.pause == running {
			fs.switchover()
		}
	}
}

// cutFor cuts from one server to another for a while.
func (w *world) cutFor(from, to *server, d time.Duration) {
	if from == to || w.network.cut[from.index][to.index] {
		return
	}
	w.network.cut[from.index][to.index] = true
	w.at(d, func() { w.network.cut[from.index][to.index] = false })
}

// isolate cuts a server off: both ways, or only what it hears, or only what it says.
func (w *world) isolate(s *server, how int) {
	d := w.between(200*time.Millisecond, 8*time.Second)
	w.say(nil, "%s is cut off from all for %s: %s", s.name, d, []string{"both ways", "hears nothing", "is not heard"}[how])
	for _, other := range w.servers {
		if how != 1 {
			w.cutFor(s, other, d)
		}
		if how != 2 {
			w.cutFor(other, s, d)
		}
	}
}

// cutSome cuts a server off from some of the others.
func (w *world) cutSome(s *server) {
	d := w.between(200*time.Millisecond, 8*time.Second)
	for _, other := range w.servers {
		if other != s && w.chance(0.5) {
			w.say(nil, "the cable between %s and %s is cut for %s", s.name, other.name, d)
			w.cutFor(s, other, d)
			w.cutFor(other, s, d)
		}
	}
}

// split makes two halves.
func (w *world) split() {
	d := w.between(200*time.Millisecond, 8*time.Second)
	left := make([]bool, len(w.servers))
	var names []string
	for i, s := range w.servers {
		if left[i] = w.chance(0.5); left[i] {
			names = append(names, s.name)
		}
	}
	w.say(nil, "the network splits for %s: %v on one side", d, names)
	for i, a := range w.servers {
		for j, b := range w.servers {
			if left[i] != left[j] {
				w.cutFor(a, b, d)
			}
		}
	}
}

// oneWay cuts some ways in one direction.
func (w *world) oneWay() {
	d := w.between(200*time.Millisecond, 5*time.Second)
	for range 1 + w.rng.IntN(len(w.servers)) {
		a, b := w.somebody(), w.somebody()
		w.say(nil, "nothing gets from %s to %s for %s", a.name, b.name, d)
		w.cutFor(a, b, d)
	}
}

// crashLoop cuts the file sharing server off from some, while the processes of others crash again and again: they forget whom they heard.
func (w *world) crashLoop() {
	fs := w.byName[w.history.generations[w.history.newest].FS.Name]
	w.cutSome(fs)
	first := w.rng.IntN(len(w.servers))
	for i := range min(3, len(w.servers)) {
		victim := w.servers[(first+i)%len(w.servers)]
		if victim == fs {
			continue
		}
		w.say(nil, "processes of %s crash again and again", victim.name)
		for range 6 {
			w.at(w.between(0, 4*time.Second), func() {
				if !w.calm {
					victim.kill()
				}
			})
		}
	}
}

// heal ends all faults and starts what is down.
func (w *world) heal() {
	w.say(nil, "all faults are healed")
	w.calm, w.torn = true, 0
	w.network.heal()
	for _, s := range w.servers {
		s.wake()
		s.boot(false)
	}
	w.look(0, w.now)
}

// look looks from time to time whether the cluster is whole.
func (w *world) look(generation uint64, since time.Duration) {
	if w.unwhole() != "" || generation != w.history.newest {
		generation, since = w.history.newest, w.now
	}
	if w.wholeAt = w.now - since; w.wholeAt < wholeFor {
		w.at(250*time.Millisecond, func() { w.look(generation, since) })
	}
}

// whole says whether the cluster has been whole for long enough.
func (w *world) whole() bool { return w.calm && w.wholeAt >= wholeFor }
