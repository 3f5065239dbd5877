package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/testkit/recordtest"
)

// world is five servers and a network that delays, loses and is cut, in virtual time.
type world struct {
	t *testing.T

	mu      sync.Mutex
	random  *rand.Rand
	servers map[string]*Daemon
	dirs    map[string]string
	times   []time.Duration // the examination times that servers start with
	cut     map[string]bool // "from to"
	ends    map[string]time.Time
	story   []string
	leases  int // generations in which a lease was seen
	last    uint64
}

var everybody = strings.Fields("a b c d e")

func (w *world) start(name string, first record.Record) {
	w.mu.Lock()
	own := w.times[w.random.IntN(len(w.times))]
	w.tell("%s starts with %s", name, own)
	w.mu.Unlock()
	d := newVoterWith(w.t, name, w.dirs[name], first, own)
	d.serving.acts.note = func(r record.Record, remaining time.Duration) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		now := time.Now()
		w.ends[name] = now.Add(remaining)
		if r.Generation > w.last {
			w.last = r.Generation
			w.leases++
		}
		w.tell("%s has the lease in %d for %s", name, r.Generation, remaining)
		for other, end := range w.ends {
			if other != name && now.Before(end) {
				w.t.Errorf("I1: %s and %s have a lease at once:\n%s", name, other, strings.Join(w.story[max(0, len(w.story)-60):], "\n"))
				w.ends[other] = time.Time{}
			}
		}
		return nil
	}
	d.serving.acts.forget = func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ends[name] = time.Time{}
		return nil
	}
	w.mu.Lock()
	w.servers[name] = d
	w.mu.Unlock()
}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%s ", time.Now().Format("05.000"))+fmt.Sprintf(format, args...))
}

func (w *world) server(name string) *Daemon {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[name]
}

func (w *world) number(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// travel takes the time of a message; false: it is lost. Some take so long that all has changed meanwhile.
func (w *world) travel(from, to string) bool {
	w.mu.Lock()
	lost := w.cut[from+" "+to] || w.random.IntN(50) == 0
	delay := time.Duration(w.random.IntN(20)) * time.Millisecond
	if w.random.IntN(10) == 0 {
		delay = time.Duration(w.random.IntN(2000)) * time.Millisecond
	}
	w.mu.Unlock()
	time.Sleep(delay)
	return !lost
}

var errLost = errors.New("no answer")

func (w *world) ask(from, to string, q Request) (Reply, error) {
	if from != to && !w.travel(from, to) {
		return Reply{}, errLost
	}
	r := w.server(to).answer(from, q)
	if from != to && !w.travel(to, from) {
		return Reply{}, errLost
	}
	return r, nil
}

func (w *world) beats(ctx context.Context, from string) {
	for ctx.Err() == nil {
		d := w.server(from)
		d.mu.Lock()
		role, silence := d.record.Role(from), time.Since(d.fsHeard)
		d.mu.Unlock()
		fs := role == record.RoleFS
		if role == record.RoleDRS1 && silence >= d.Settings.ExaminationTime && w.number(3) == 0 { // as soon as it can succeed
			go w.propose(ctx, from, 0)
		}
		if fs && w.number(8) == 0 { // who has failed is back at once, so that there is always somebody to lose
			go w.propose(ctx, from, 4)
		}
		for _, to := range everybody {
			if from == to || !fs && w.number(8) > 0 { // the others only learn from it
				continue
			}
			sent := time.Now()
			q := d.heartbeat()
			go func() {
				r, err := w.ask(from, to, q)
				if err != nil || r.Facts == nil {
					return
				}
				if time.Since(sent) < d.Settings.ExaminationTime {
					d.onAnswer(to, q, sent, *r.Facts)
				}
				if r.Facts.Generation > q.Generation {
					if r, err := w.ask(from, to, d.sign(Request{Kind: Fetch})); err == nil && r.Record != nil {
						now := w.server(from)
						_ = now.install(*r.Record, now.store.Learn, "learnt")
					}
				}
			}()
		}
		time.Sleep(Interval(d.pace()))
	}
}

// proposer is one server's way to the voters.
type proposer struct {
	*world
	self string
}

func (p proposer) vote(to string, q Request) (agree.Answer, error) {
	r, err := p.ask(p.self, to, p.server(p.self).sign(q))
	if err != nil || r.Answer == nil {
		return agree.Answer{}, errLost
	}
	return *r.Answer, nil
}

func (p proposer) Prepare(_ context.Context, to string, b agree.Ballot, wanted record.Record) (agree.Answer, error) {
	return p.vote(to, Request{Kind: Prepare, Ballot: &b, Record: &wanted})
}

func (p proposer) Accept(_ context.Context, to string, b agree.Ballot, value record.Record) (agree.Answer, error) {
	return p.vote(to, Request{Kind: Accept, Ballot: &b, Record: &value})
}

// Install often comes late or never: what matters then is what voters and FS do in between.
func (p proposer) Install(_ context.Context, to string, value record.Record) error {
	if p.number(20) == 0 { // at the worst moment the network heals
		p.mu.Lock()
		clear(p.cut)
		p.mu.Unlock()
	}
	if p.self != to && p.number(2) == 0 {
		time.Sleep(time.Duration(p.number(3000)) * time.Millisecond)
		if p.number(2) == 0 {
			return errLost
		}
	}
	_, err := p.ask(p.self, to, p.server(p.self).sign(Request{Kind: Install, Record: &value}))
	return err
}

// propose makes a server wish for something: that FS or another one has failed, that a failed one is taken back, or that the roles of FS and a DRS1 are
// exchanged.
func (w *world) propose(ctx context.Context, self string, wish int) {
	d := w.server(self)
	d.mu.Lock()
	current := d.record
	d.mu.Unlock()
	var next record.Record
	var err error
	if current.FS.Name == self && wish != 4 && w.number(2) == 0 {
		wish = 5
	}
	switch members := current.Members(); wish {
	case 0, 1, 2:
		next, err = repair.Repair(current, []string{current.FS.Name}, nil)
	case 3:
		next, err = repair.Repair(current, []string{members[w.number(len(members))]}, nil)
	case 4:
		failed := current.WithStatus(record.Failed)
		if len(failed) == 0 {
			return
		}
		next, err = repair.Admit(current, failed[w.number(len(failed))])
	default: // only FS itself can have this
		drs1s := current.DRS1s()
		if len(drs1s) == 0 {
			return
		}
		next = current.Clone()
		next.Generation++
		pair := current.PairOf(drs1s[0])
		next.FS.Name, next.Pairs[pair].DRS1 = drs1s[0], current.FS.Name
	}
	if err != nil {
		return
	}
	chosen, err := agree.Choose(ctx, proposer{w, self}, self, current, next)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell("%s wished for %s: chosen %d %s (%v)", self, recordtest.Describe(next), chosen.Generation, chosen.FS.Name, err)
}

// isolate cuts whoever has the lease off from all others, or from all but one.
func (w *world) isolate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
	friend := everybody[w.random.IntN(len(everybody))]
	for name, end := range w.ends {
		for _, other := range everybody {
			if time.Now().Before(end) && other != name && other != friend {
				w.cut[name+" "+other], w.cut[other+" "+name] = true, true
			}
		}
	}
	w.tell("cut the lease off: %v", w.cut)
}

func (w *world) rearrange() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
	if w.random.IntN(3) == 0 {
		w.tell("no cuts")
		return
	}
	side := map[string]int{}
	for _, name := range everybody {
		side[name] = w.random.IntN(2)
	}
	oneWay := w.random.IntN(3) == 0
	for _, x := range everybody {
		for _, y := range everybody {
			w.cut[x+" "+y] = side[x] < side[y] || !oneWay && side[x] > side[y]
		}
	}
	w.tell("cut %v, one way %v", side, oneWay)
}

// I1: whatever is lost, late, cut, restarted and wished for, no two servers ever have a lease at once.
func TestNeverTwoLeases(t *testing.T) { neverTwoLeases(t, examination) }

// I1, while the examination time is changed from server to server, by restarts in any order and direction.
func TestNeverTwoLeasesWithDifferentTimes(t *testing.T) {
	neverTwoLeases(t, examination/2, examination, 4*examination)
}

func neverTwoLeases(t *testing.T, times ...time.Duration) {
	seeds, leases := uint64(20), 0
	for seed := range seeds {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{
					times: times,
					t:     t, random: rand.New(rand.NewPCG(seed, 7)), servers: map[string]*Daemon{}, dirs: map[string]string{}, cut: map[string]bool{}, ends: map[string]time.Time{},
				}
				first := recordtest.Parse(t, "fs=a pairs=b/c spares=d,e")
				ctx, stop := context.WithCancel(t.Context())
				for _, name := range everybody {
					w.dirs[name] = inMemory(t)
					w.start(name, first)
				}
				for _, name := range everybody {
					go w.beats(ctx, name)
				}
				for range 300 {
					time.Sleep(time.Duration(w.number(400)) * time.Millisecond)
					switch w.number(12) {
					case 0:
						w.isolate()
						time.Sleep(time.Duration(w.number(3000)) * time.Millisecond)
					case 1:
						w.rearrange()
					case 2: // only its memory is lost; the file and the address live on
						name := everybody[w.number(len(everybody))]
						w.mu.Lock()
						w.tell("%s starts again", name)
						w.mu.Unlock()
						w.retire(name)
						w.start(name, first)
					case 3, 4:
						go w.propose(ctx, everybody[w.number(len(everybody))], w.number(6))
					}
				}
				stop()
				time.Sleep(time.Minute)
				leases += w.leases
			})
		}) {
			return
		}
	}
	t.Logf("leases in %d generations", leases)
	if leases < int(seeds)*5 {
		t.Errorf("only %d generations had a lease: this test proves little", leases)
	}
}

// retire ends a server's program: it keeps its file, and does nothing more.
func (w *world) retire(name string) {
	d := w.server(name)
	d.serving.mu.Lock()
	defer d.serving.mu.Unlock()
	d.serving.record, d.serving.until = record.Record{}, time.Time{}
	d.serving.acts.note = func(record.Record, time.Duration) error { return nil }
	d.serving.acts.forget = func() error { return nil }
}
