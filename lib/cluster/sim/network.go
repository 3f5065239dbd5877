package sim

import (
	"math/rand/v2"
	"time"
)

// network carries messages between servers: late, twice, in another order, or not at all.
type network struct {
	cut       [][]bool // from, to
	loss      float64
	duplicate float64
	late      float64 // how many take long
	latest    time.Duration
}

func (n *network) begin(rng *rand.Rand, servers int) {
	n.cut = make([][]bool, servers)
	for i := range n.cut {
		n.cut[i] = make([]bool, servers)
	}
	n.loss = []float64{0, 0, 0.01, 0.1}[rng.IntN(4)]
	n.duplicate = []float64{0, 0.02, 0.1}[rng.IntN(3)]
	n.late = []float64{0, 0.02, 0.1}[rng.IntN(3)]
	n.latest = []time.Duration{100 * time.Millisecond, 600 * time.Millisecond, 3 * time.Second}[rng.IntN(3)]
}

// heal makes the network good.
func (n *network) heal() {
	for _, row := range n.cut {
		clear(row)
	}
	n.loss, n.duplicate, n.late = 0, 0, 0
}

// send lets do happen on another server, some time, perhaps.
func (w *world) send(from, to *server, do func()) {
	n := &w.network
	if n.cut[from.index][to.index] || w.chance(n.loss) {
		return
	}
	copies := 1
	if w.chance(n.duplicate) {
		copies = 2
	}
	for range copies {
		delay := w.between(100*time.Microsecond, 3*time.Millisecond)
		if w.chance(n.late) {
			delay = w.between(delay, n.latest)
		}
		w.queue.push(event{at: w.now + delay, server: to, do: do})
	}
}

// ask sends a question and brings the answer back; answer runs at the other server and hands its reply to respond, once or never. The answer is
// dropped when the process that asked is gone.
func ask[A any](from, to *server, answer func(respond func(A)), hear func(A)) {
	incarnation := from.incarnation
	heard := func(a A) func() {
		return func() {
			if from.incarnation == incarnation {
				hear(a)
			}
		}
	}
	if from == to {
		answer(func(a A) { from.after(0, heard(a)) })
		return
	}
	from.world.send(from, to, func() {
		answer(func(a A) { from.world.send(to, from, heard(a)) })
	})
}
