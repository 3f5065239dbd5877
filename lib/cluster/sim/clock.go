package sim

import (
	"math/rand/v2"
	"time"
)

// drift is how far a clock's rate may be off.
const drift = 0.05

// clock is the one of a server that does not jump: it runs a little too fast or too slow, and stands while the machine is suspended.
type clock struct {
	rate    float64
	trueAt  time.Duration // since then
	localAt time.Duration // it showed this
	stopped bool
}

func newClock(rng *rand.Rand, fixed float64) clock {
	rate := 1.0
	switch rng.IntN(4) {
	case 0:
		rate = 1 - drift
	case 1:
		rate = 1 + drift
	case 2:
		rate = 1 - drift + 2*drift*rng.Float64()
	}
	if fixed != 0 {
		rate = fixed
	}
	return clock{rate: rate, localAt: time.Duration(rng.Int64N(int64(time.Hour)))}
}

func (c *clock) local(now time.Duration) time.Duration {
	if c.stopped {
		return c.localAt
	}
	return c.localAt + time.Duration(c.rate*float64(now-c.trueAt))
}

// span is how long a local time takes in true time, at least.
func (c *clock) span(local time.Duration) time.Duration {
	return time.Duration(float64(local)/c.rate) + 1
}

func (c *clock) stop(now time.Duration) {
	c.localAt, c.trueAt, c.stopped = c.local(now), now, true
}

func (c *clock) resume(now time.Duration) {
	c.trueAt, c.stopped = now, false
}
