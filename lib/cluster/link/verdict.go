package link

import (
	"time"
)

// Verdict over a peer. Not yet known is an answer of its own.
type Verdict string

const (
	Unknown Verdict = "unknown" // never answered, and it is too early to call it lost
	Alive   Verdict = "alive"
	Lost    Verdict = "lost" // silent for the examination time
)

// Times of one peer, from the clock that does not jump.
type Times struct {
	Watched  time.Time     // since when it is watched
	Answered time.Time     // when the latest heartbeat that got a good answer was *sent*; zero: never
	Grace    time.Duration // how much longer than the examination time the first answer may take
	Heard    time.Time     // when the peer's own heartbeat came in last; zero: never, or it sends us none
}

// FirstAnswerGrace is how much longer than the examination time a peer may take for its first answer: servers that start together
// do not start at the same moment. In the first generation a server that was never seen is still being deployed.
func FirstAnswerGrace(generation uint64) time.Duration {
	if generation == 1 {
		return 15 * time.Minute
	}
	return 10 * time.Second
}

// Deadline is when the verdict becomes Lost if no good answer comes.
func (t Times) Deadline(examination time.Duration) time.Time {
	if t.Answered.IsZero() {
		return t.Watched.Add(t.Grace + examination)
	}
	if t.Heard.After(t.Answered) {
		return t.Heard.Add(examination)
	}
	return t.Answered.Add(examination)
}

// At is the verdict at a moment. Counting starts when a heartbeat was sent, not when its answer came: an answer that
// lingered on the way says nothing of the peer's present.
func (t Times) At(now time.Time, examination time.Duration) Verdict {
	switch {
	case !now.Before(t.Deadline(examination)):
		return Lost
	case t.Answered.IsZero():
		return Unknown
	}
	return Alive
}

// Interval between heartbeats: eight in an examination time, so that a single late one changes nothing. A server sends to all its
// peers at the same moments, so that all of them count its silence from the same one.
func Interval(examination time.Duration) time.Duration {
	return max(examination/8, 25*time.Millisecond)
}
