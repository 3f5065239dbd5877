package sim

import "time"

// event happens at a moment of true time: to the world, or to a server. A timer of a server dies with the process that set it and fires when the server's own clock
// says so; a message reaches whatever process runs when it arrives.
type event struct {
	at          time.Duration
	number      uint64 // ties go to the earlier one
	server      *server
	timer       bool
	incarnation int
	due         time.Duration // of a timer, by the server's clock
	do          func()
}

func (e event) before(f event) bool {
	return e.at < f.at || e.at == f.at && e.number < f.number
}

// queue is a binary heap of events.
type queue struct {
	events []event
	count  uint64
}

func (q *queue) push(e event) {
	q.count++
	e.number = q.count
	q.events = append(q.events, e)
	for i := len(q.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.events[i].before(q.events[parent]) {
			return
		}
		q.events[i], q.events[parent] = q.events[parent], q.events[i]
		i = parent
	}
}

func (q *queue) pop() (event, bool) {
	if len(q.events) == 0 {
		return event{}, false
	}
	first, last := q.events[0], len(q.events)-1
	q.events[0] = q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	for i := 0; ; {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < last && q.events[child].before(q.events[least]) {
				least = child
			}
		}
		if least == i {
			return first, true
		}
		q.events[i], q.events[least] = q.events[least], q.events[i]
		i = least
	}
}
