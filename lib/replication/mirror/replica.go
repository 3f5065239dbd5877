package mirror

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
)

// replica is one replica with its own queue and goroutine, so that one that hangs holds up no other.
type replica struct {
	wanted    Wanted
	transport Transport
	log       zerolog.Logger
	changed   func()                  // told after every change of the status
	fatal     func(error)             // told when the share is gone
	here      func()                  // makes the share's position one that the replica may have
	completed func(generation uint64) // told when everything was compared in a generation
	reached   func(name, id string)   // told when a barrier has passed
	pace      Pace
	position  func(generation, number uint64, all bool) (change.Position, bool) // that it has then, all: with all that is known by now; false: none to tell
	kept      time.Time                                                         // since then
	size      *size
	attempts  int // give up after so many failures in a row; 0: never

	mu         sync.Mutex
	queue      change.Set
	wake       chan struct{}
	owed       []string // barriers that passed in failed attempts, or before a comparison that must come first
	status     ReplicaStatus
	generation uint64        // in which everything is to be compared
	needFull   bool          // everything is to be compared, or where the replica may differ if that is known
	fullAfter  time.Time     // needFull does not hurry until then
	unsaid     bool          // the replica has not heard yet that its position is one of this generation, or of a whole share
	taken      uint64        // every change up to this one was applied
	comparison *comparison   // of everything that is under way, of a Gradual transport
	large      []*comparison // of directories that are under way, or to come, and are waited for
	nextFull   time.Time     // when everything is compared anyway
	nextScrub  time.Time     // when contents are
	working    int           // changes being applied
	retells    int           // how often the position is to be told again
	retellAt   time.Time
	gaveUp     error
	answered   int64
	answeredAt time.Time
	moved      int64 // of the transport's progress, and when it was last seen to grow
	movedAt    time.Time
}

const (
	// queueLimit bounds the changes that wait for one replica; beyond it they become a rescan. About 5 MB.
	queueLimit = 50_000
	// batchLimit is how many changes are applied at once.
	batchLimit = 1024

	// maxVanishes is how often in a row files may have vanished before that is no longer taken for a busy share.
	maxVanishes = 20

	firstBackoff = 10 * time.Millisecond // a mount that is still coming up should not cost more
	lastBackoff  = 2 * time.Second

	// lostPause is how long nobody asks for a new session after one was lost, if nothing waits: sessions to a server whose role changes end a moment
	// before the record says so here.
	lostPause = 250 * time.Millisecond
)

func newReplica(w Wanted, t Transport, log zerolog.Logger, now time.Time) *replica {
	return &replica{
		wanted: w, transport: t, log: log.With().Str("replica", w.Name).Logger(),
		queue: change.Set{Limit: queueLimit}, wake: make(chan struct{}, 1), kept: now, answeredAt: now,
		status: ReplicaStatus{Name: w.Name, Transport: w.Transport, Target: w.Target, State: Filling, Since: now},
	}
}

// add reports a change to the replica. It never waits.
func (r *replica) add(number uint64, c change.Change) {
	r.mu.Lock()
	if r.queue.Add(number, c) {
		r.log.Warn().Int("limit", queueLimit).Msg("too many changes wait for this replica: it will be compared as a whole")
	}
	r.mu.Unlock()
	r.poke()
}

func (r *replica) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// compare asks for a comparison of everything, as the first of this generation.
func (r *replica) compare(generation uint64) {
	r.mu.Lock()
	r.generation, r.needFull = generation, true
	r.mu.Unlock()
	r.poke()
}

// compareAgain asks for a comparison of everything that nothing has to wait for.
func (r *replica) compareAgain() {
	r.mu.Lock()
	r.nextFull = time.Now()
	r.mu.Unlock()
	r.poke()
}

// lost notes that the session to the replica ended while there was nothing to do. What became of the replica since is not known.
func (r *replica) lost() {
	r.mu.Lock()
	r.needFull, r.fullAfter = true, time.Now().Add(lostPause)
	if r.status.State == Complete {
		r.state(Filling)
	}
	r.mu.Unlock()
	r.log.Info().Msg("the session to the replica has ended: a new one begins")
	r.poke()
	r.changed()
}

// follow takes a new generation over. A replica that is complete is so in that one too, and is told: else its position would be of a generation that
// nobody remembers, if nothing is written for long.
func (r *replica) follow(generation uint64) {
	r.mu.Lock()
	r.generation = generation
	complete := r.say()
	if complete {
		r.status.Generation = generation
	}
	r.mu.Unlock()
	r.poke()
	if complete {
		r.completed(generation)
	}
}

// say has a complete replica told its position though nothing is written; with r.mu held.
func (r *replica) say() (complete bool) {
	if r.status.State == Complete && !r.needFull {
		_, r.unsaid = r.transport.(Gradual)
		return true
	}
	return false
}

// run applies changes until the context ends.
func (r *replica) run(ctx context.Context) {
	defer r.transport.Close()
	backoff := time.Duration(0)
	for failures, vanishes := 0, 0; ; {
		if wait := r.idle(time.Now()); wait > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			case <-r.wake:
			}
			continue
		}
		err := r.work(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures, vanishes, backoff = 0, 0, 0
			continue
		}
		if errors.Is(err, ErrShareGone) {
			r.fatal(err)
			return
		}
		switch {
		case !errors.Is(err, ErrVanished):
			failures++
		case vanishes < maxVanishes: // the share is busy: that is no failure
			vanishes++
		default: // whatever it is, it does not pass
			failures++
			r.mu.Lock()
			r.failed(err)
			r.mu.Unlock()
		}
		if r.attempts > 0 && failures >= r.attempts {
			r.mu.Lock()
			r.gaveUp = err
			r.mu.Unlock()
			r.changed()
			return
		}
		backoff = min(max(2*backoff, firstBackoff), lastBackoff)
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
	}
}

// idle says for how long there is nothing to do.
func (r *replica) idle(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.unsaid || r.queue.Len() > 0:
		return 0
	case r.needFull:
		return r.fullAfter.Sub(now)
	case r.owes():
		return 0
	}
	wait := r.idleFor(now)
	if left, due := r.retelling(now); due {
		wait = min(wait, left)
	}
	if due, next := r.looksAgain(now); len(due) > 0 {
		return 0
	} else if next > 0 {
		wait = min(wait, next)
	}
	return wait
}

// idleFor is how long there is nothing to compare; with r.mu held.
func (r *replica) idleFor(now time.Time) time.Duration {
	if c := r.next(); c != nil {
		return c.resume.Sub(now)
	}
	next := r.nextFull
	if !r.nextScrub.IsZero() && r.nextScrub.Before(next) {
		next = r.nextScrub
	}
	return next.Sub(now)
}

// work applies what waits, and makes a part of the comparison that is under way.
func (r *replica) work(ctx context.Context) error {
	g, gradual := r.transport.(Gradual)
	now := time.Now()
	var met []change.Change
	r.mu.Lock()
	switch {
	case gradual && r.needFull:
		var err error
		if met, err = r.meet(ctx); err != nil {
			if ctx.Err() == nil {
				r.again(err)
			}
			r.mu.Unlock()
			r.changed()
			return err
		}
	case gradual:
		r.begin(now)
	case !now.Before(r.nextFull):
		r.needFull = true
		r.nextFull = now.Add(r.pace.Every)
	}
	if left, due := r.retelling(now); r.owes() || due && left <= 0 {
		r.unsaid = true
	}
	again, _ := r.looksAgain(now)
	queued := r.queue.Len() > 0 || met != nil || r.needFull || r.unsaid || len(again) > 0
	c := r.next()
	due := c != nil && !now.Before(c.resume)
	r.mu.Unlock()
	if queued {
		if err := r.batch(ctx, met); err != nil {
			return err
		}
	}
	if due {
		return r.part(ctx, g)
	}
	return nil
}

// batch applies what waits, as far as it fits into one batch. met is what else the replica may differ in; nil: that is not known, or nothing.
func (r *replica) batch(ctx context.Context, met []change.Change) error {
	g, gradual := r.transport.(Gradual)
	r.mu.Lock()
	full, generation := r.needFull && !gradual, r.generation
	limit := batchLimit
	if full {
		limit = 0 // all of it is part of the comparison of everything
	}
	changes, number := r.queue.Take(limit)
	emptied := r.queue.Len() == 0
	again, _ := r.looksAgain(time.Now())
	changes = append(changes, again...)
	changes = append(changes, met...)
	r.unsaid = false
	if !gradual {
		r.needFull = false
	}
	r.working = max(1, len(changes))
	if full {
		changes = append([]change.Change{{Kind: change.Rescan, Path: "."}}, barriers(changes)...)
	}
	full = asksForAll(changes)
	if gradual && full { // between changes, part by part
		r.must(time.Now())
		full, changes, met = false, withoutAll(changes), nil
	}
	whole := met != nil || r.status.State == Complete && !r.comparing()
	r.answeredAt = time.Now()
	r.mu.Unlock()
	p, known := r.position(generation, number, emptied)
	if known && gradual && whole {
		g.LeadsTo(p)
	} else {
		p.Exact = false
	}
	err := r.transport.Apply(ctx, changes)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var rest Unfinished
	if errors.As(err, &rest) {
		err = nil
	}
	r.mu.Lock()
	r.working = 0
	r.finish(rest.Directories, time.Now())
	for _, b := range barriers(changes) {
		r.owed = append(r.owed, b.Path)
	}
	if err != nil {
		r.again(err)
		r.mu.Unlock()
		r.changed()
		return err
	}
	r.taken = number
	r.retell(p, len(changes))
	if full {
		r.status.Checked = time.Now()
	}
	r.arrived(full || met != nil && r.like()) // a session that ended meanwhile is to be met anew
	return nil
}

// again begins anew with everything after an error; with r.mu held.
func (r *replica) again(err error) {
	r.needFull, r.comparison, r.large = true, nil, nil
	if !errors.Is(err, ErrVanished) { // that only says that the share is busy
		r.failed(err)
	}
}

// arrived notes what the replica has now, and whether it is like the share as a whole. It gives r.mu back.
func (r *replica) arrived(full bool) {
	var passed []string
	if r.like() { // the session in which everything was compared may have ended before this one began
		r.status.Number = r.taken
		if l := r.lacking(); l == nil || !l.untaken() {
			passed, r.owed = r.owed, nil
		}
	}
	generation := r.generation // a newer one may have been taken over meanwhile
	completed := full && (r.status.State != Complete || r.status.Generation != generation)
	if full {
		r.status.Generation, r.status.Error = generation, ""
		r.state(Complete)
	}
	r.mu.Unlock()
	if completed {
		r.completed(generation)
	}
	for _, id := range passed {
		r.reached(r.wanted.Name, id)
	}
	r.changed()
}

// failed notes an error; with r.mu held. The same error again and again is logged once.
func (r *replica) failed(err error) {
	r.status.Failures++
	if text := err.Error(); text != r.status.Error {
		r.status.Error = text
		r.log.Warn().Err(err).Msg("replica failed: trying again")
	}
	r.state(Broken)
}

func (r *replica) state(s State) {
	if r.status.State != s {
		r.status.State, r.status.Since = s, time.Now()
	}
}

func barriers(changes []change.Change) []change.Change {
	var found []change.Change
	for _, c := range changes {
		if c.Kind == change.Barrier {
			found = append(found, c)
		}
	}
	return found
}
