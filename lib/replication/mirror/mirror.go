// Package mirror keeps replicas of the share identical to it.
//
// It promises that every file on a replica is whole at every moment (a large one that is changed in place is made whole before anybody is served there);
// that after a comparison of everything a replica is identical to the share (content, owner, mode, times, extended attributes, ACLs, hard links within the share) as far as its transport can hold that; that nothing is deleted because the share
// was missing, unmounted or unreadable; that no symbolic link is ever followed and no mount crossed, on neither side; that one replica that hangs or
// fails holds up no other; and, but for rsync, that a path which cannot be copied holds up no other path.
//
// What is not replicated: FIFOs, sockets and devices, except by rsync; that two symbolic links are one inode. Through sshfs also not: extended attributes
// and ACLs, fractions of a second, times before 1970, owner and time of symbolic links. docs/fidelity.md has a table of it.
//
// There are three ways to a replica. directory.go reaches it as a directory: local or through sshfs, which costs some 25 round trips a file. rsync.go runs
// rsync, a process for each batch. stream.go, with session.go, keeps a stream to a receiver of package stream, which looks and writes there: one or two round
// trips a batch, with full fidelity.
//
// plan.go and pairup.go are pure: from what both sides have to pairs, and to steps. judge.go says which pairs matter, gather.go and far.go find them, beside each
// other or at the other end of a stream; apply.go carries steps out, send.go sends them, large.go a large file while it may be written; replica.go gives each replica a queue and a goroutine, mirror.go feeds them, barrier.go answers hafs-mirror wait.
//
// lacks.go is what a replica lacks path by path, blame.go finds that after a batch, retry.go looks again; settled.go, behind.go and crowded.go are pure: what
// becomes of a client's change, which replica is to be replaced, and which directory stands for what it lacks in it.
//
// comparison.go compares everything in parts, gradual.go makes them between changes; budget.go holds deletes back that are too many at once.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Mirror feeds changes to replicas.
type Mirror struct {
	Share      *tree.Root
	First      uint64 // numbers of changes begin after it; see FirstNumber
	Transport  func(Wanted) Transport
	StatusFile string // empty: none
	Pace       Pace
	// Newest, when set, is the generation of the newest record: changes do not settle by the replicas of an older one.
	Newest func() uint64
	// Drain, when set, lets no client change the share any more, and returns what lets them again, which must be called in any case.
	Drain func(context.Context) (open func(), err error)
	// Patience is how long a client's change waits for copies that do nothing; 0: for ever.
	Patience time.Duration
	Attempts int // failures in a row after which a replica is given up; 0: never
	// History, when set, is what was done to the share of this server lately; see Lead.
	History *change.History
	Log     zerolog.Logger

	mu         sync.Mutex
	unfit      error // why the share as a whole takes no changes
	number     uint64
	generation uint64
	replicas   []*running
	waiting    map[string]*barrier
	scrubs     map[string]*Scrub // that the mirror before this one made
	size       size
	last       *Behind              // as it was told last
	blamed     map[string]time.Time // paths for which a replica was replaced, and when
	dirty      chan struct{}
	advanced   chan struct{} // closed when a replica may have come further
	gone       chan error
	numbering  numbering
	seen       *names // of all replicas
	ctx        context.Context
}

// running is a replica and what ends it.
type running struct {
	*replica
	stop context.CancelFunc
	done chan struct{}
}

// DefaultEvery is how often everything is compared although nothing seemed to change.
const DefaultEvery = 10 * time.Minute

// Start makes the mirror ready. It works until the context ends.
func (m *Mirror) Start(ctx context.Context) {
	m.ctx = ctx
	m.waiting, m.scrubs, m.size.share = map[string]*barrier{}, map[string]*Scrub{}, m.Share.Name
	m.dirty, m.gone = make(chan struct{}, 1), make(chan error, 1)
	m.seen = newNames()
	m.advanced, m.blamed = make(chan struct{}), map[string]time.Time{}
	m.number = m.First
	if old, err := ReadStatus(m.StatusFile); err == nil && old.Share == m.Share.Name {
		m.number = max(m.number, old.Number) // which an older release counted on from
		for _, r := range old.Replicas {
			m.scrubs[r.Name] = r.Scrub
		}
	}
	if m.StatusFile != "" {
		go m.publish(ctx)
	}
}

// Gone gives the error that ended the mirror: the share is gone.
func (m *Mirror) Gone() <-chan error { return m.gone }

// Keep makes the replicas those of a generation. A replica that was there before goes on as it is: that the record changed says nothing about
// what it holds. A new one begins with a comparison of everything; one that is not wanted any more is left alone, even if it hangs.
func (m *Mirror) Keep(generation uint64, wanted []Wanted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation = generation
	var kept []*running
	for _, r := range m.replicas {
		if slices.Contains(wanted, r.wanted) {
			r.follow(generation)
			kept = append(kept, r)
		} else {
			m.replaced(r.replica)
			r.stop()
		}
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(kept, func(r *running) bool { return r.wanted == w }) {
			r := m.start(w)
			if generation > 0 { // otherwise whoever feeds the changes says what to compare
				r.compare(generation)
			}
			kept = append(kept, r)
		}
	}
	m.replicas = kept
	if len(kept) == 0 { // nobody looks at what happens
		m.seen.lose()
	}
	close(m.advanced)
	m.advanced = make(chan struct{})
	m.changed()
}

func (m *Mirror) start(w Wanted) *running {
	r := newReplica(w, m.Transport(w), m.Log, time.Now())
	r.pace, r.attempts, r.size = m.Pace, m.Attempts, &m.size
	r.nextFull = r.answeredAt.Add(m.Pace.Every)
	r.scrubAfter(m.scrubs[w.Name])
	r.queue.Cover(m.number) // by the comparison it begins with
	r.taken = m.number
	r.changed = func() { m.advance(); m.changed() }
	switch t := r.transport.(type) {
	case *Stream:
		t.Greeted, t.lacks, t.names = r.changed, newLacks(), m.seen // what follows the greeting may take long
	case *Directory:
		t.lacks = newLacks()
	}
	r.reached, r.position, r.here = m.reached, m.position, m.here
	r.fatal = func(err error) {
		select {
		case m.gone <- err:
		default:
		}
	}
	if t, is := r.transport.(interface{ WhenLost(func()) }); is {
		t.WhenLost(r.lost)
	}
	r.completed = func(generation uint64) {
		r.log.Info().Str("event", "complete").Uint64("generation", generation).Msg("replica is complete")
	}
	ctx, stop := context.WithCancel(m.ctx)
	started := &running{r, stop, make(chan struct{})}
	go func() {
		defer close(started.done)
		r.run(ctx)
	}()
	return started
}

// Report takes one change, in the order they happened. It never waits for a replica.
func (m *Mirror) Report(c change.Change) {
	m.mu.Lock()
	if c.Kind == change.Barrier {
		m.began(c.Path)
	}
	m.add(c)
	m.mu.Unlock()
	m.changed()
}

// add gives the change its number and leaves it to every replica; with m.mu held.
func (m *Mirror) add(c change.Change) {
	m.remember(c)
	m.number++
	for _, r := range m.replicas {
		r.add(m.number, c)
	}
}

// SayWhole tells the replicas that the share has become whole.
func (m *Mirror) SayWhole() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.say()
}

// say has complete replicas told their position though nothing is written; with m.mu held.
func (m *Mirror) say() {
	for _, r := range m.replicas {
		r.mu.Lock()
		r.say()
		r.mu.Unlock()
		r.poke()
	}
}

// Finished waits until nothing is pending on any replica. Its error names the replicas that were given up, or lack a path.
func (m *Mirror) Finished(ctx context.Context) error {
	for {
		var problems []error
		all := true
		m.mu.Lock()
		for _, r := range m.replicas {
			finished, err := r.finished()
			all = all && finished
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", r.wanted.Name, err))
			}
		}
		m.mu.Unlock()
		if all {
			return errors.Join(problems...)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-m.gone:
			return err
		case <-time.After(time.Millisecond):
		}
	}
}

// Status is how things stand.
func (m *Mirror) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	s := Status{Share: m.Share.Name, Generation: m.generation, Number: m.number, PID: unix.Getpid(), Updated: now, Replicas: []ReplicaStatus{}}
	for _, r := range m.replicas {
		s.Replicas = append(s.Replicas, r.snapshot(now))
	}
	s.Behind = m.behind()
	if m.unfit != nil {
		s.Problem, s.ProblemID = m.unfit.Error(), problem.Of(m.unfit)
	}
	return s
}

// Unfit says why the share as a whole takes no changes, which hafs-linkcheck acts on; nil: it takes them again.
func (m *Mirror) Unfit(err error) {
	m.mu.Lock()
	m.unfit = err
	m.mu.Unlock()
	m.changed()
}

func (m *Mirror) changed() {
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

const (
	statusInterval = 250 * time.Millisecond // at most this often
	statusRefresh  = 2 * time.Second        // at least this often: a replica that hangs changes nothing by itself
)

// publish keeps the status file up to date: at once after a quiet time, then not more often than the interval.
func (m *Mirror) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.dirty:
		case <-time.After(statusRefresh):
		}
		if err := m.Status().Write(m.StatusFile); err != nil {
			m.Log.Error().Err(err).Msg("write status")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(statusInterval):
		}
	}
}
