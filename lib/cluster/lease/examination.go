package lease

import "time"

// Times are the examination times that may be in force on a server or in promises it has given: more than one while that setting is being changed. They are on
// disk before the first answer is given, since a promise outlives the program that gave it.
type Times struct {
	Shortest time.Duration `json:"shortest_ns"`
	Longest  time.Duration `json:"longest_ns"`
}

// Start is what holds when a server starts with an examination time, after before; the zero Times if it never noted any.
func (before Times) Start(own time.Duration) Times {
	if before.Longest == 0 {
		return Times{own, own}
	}
	return Times{min(before.Shortest, own), max(before.Longest, own)}
}

// Settle is what is still in force on a server with its own examination time that has run for a while. The longest is over when every promise of an earlier run
// is, and when FS says its time: one that does not (an older release) may count on the time before. The shortest is over when all members say theirs: one that
// does not may keep to the time before.
func (t Times) Settle(own, running time.Duration, fsSays, allSay bool) Times {
	if fsSays && running >= t.Longest {
		t.Longest = own
	}
	if allSay {
		t.Shortest = own
	}
	return t
}

// Lend is for how long the file sharing server may count on an answer of a member that says this examination time: that promise, and not longer than its own
// time. One that says none counts with the shortest that has been in force here.
func (t Times) Lend(own, said time.Duration) time.Duration {
	if said <= 0 {
		return min(own, t.Shortest)
	}
	return min(own, said)
}

// Use is the examination time that a server goes by which was told another one than it has gone by so far: that one, as long as a member says none. Who says
// none is of an older release, and would not tell that it has been changed too. before is zero when it is not known.
func Use(told, before time.Duration, silent []string) time.Duration {
	if before > 0 && len(silent) > 0 {
		return before
	}
	return told
}
