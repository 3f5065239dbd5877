package mirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"sync"
	"testing"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// member is a server with a copy, which a process keeps: what feeds others, and what is fed.
type member struct {
	path     string
	history  *change.History
	mirror   *Mirror
	receiver *stream.Receiver
	mu       sync.Mutex
	noted    change.Position
}

func (w *world) member(name string) *member {
	w.t.Helper()
	path := w.copy(name)
	if name == "r" {
		path = w.share
	}
	m := &member{path: path, history: &change.History{}}
	root, err := tree.Open(m.path)
	must(w.t, err)
	w.t.Cleanup(func() { root.Close() })
	m.mirror = &Mirror{Share: root, History: m.history, Log: w.log(), Pace: Pace{Every: time.Hour}}
	ctx, stop := context.WithCancel(context.Background())
	w.t.Cleanup(stop)
	m.mirror.Start(ctx)
	m.receiver = &stream.Receiver{
		Path: m.path, Cluster: "test", Log: w.log(), History: m.history,
		Position: func() change.Position { m.mu.Lock(); defer m.mu.Unlock(); return m.noted },
		Note: func(p change.Position) error {
			m.mu.Lock()
			m.noted = p
			m.mu.Unlock()
			m.mirror.Reached(p)
			return nil
		},
		Passed: func(_ context.Context, paths []string, _ bool) error { m.mirror.ReportAll(paths); return nil },
	}
	return m
}

// feeds makes a stream from one member to another.
func (w *world) feeds(from, to *member) *Stream {
	return &Stream{Share: from.mirror.Share, History: from.history, names: from.mirror.seen, Open: w.dial(to.receiver), Cluster: "test", Self: "here", Sync: true, Log: w.log()}
}

// knows has a member know the names of its files, as it does that has fed another for a while.
func (m *member) knows(t *testing.T) {
	t.Helper()
	fail := func(path string, err error) { t.Errorf("%s: %v", path, err) }
	for found := range walkShare(t.Context(), m.mirror.Share, ".", troubles{fail, fail}) {
		if isFile(found.entry) {
			m.mirror.seen.seen(found.path, found.entry)
		}
	}
	m.mirror.seen.retain(0)
}

// family is the share at r with two copies B and C, that it feeds as the file sharing server of generation 1.
func family(t *testing.T) (w *world, fs, b, c *member) {
	t.Helper()
	w = three(t)
	w.quiet = true
	fs, b, c = w.member("r"), w.member("B"), w.member("C")
	w.share = fs.path
	return w, fs, b, c
}

// follows has a member feed others as the file sharing server of a generation.
func (w *world) follows(generation uint64, fs *member, replicas map[string]*member) {
	transports := map[string]Transport{}
	var wanted []Wanted
	for name, to := range replicas {
		transports[name] = w.feeds(fs, to)
		wanted = append(wanted, Wanted{Name: name, Transport: StreamTransport, Target: fmt.Sprint(generation)})
	}
	fs.mirror.Transport = func(want Wanted) Transport { return transports[want.Name] }
	fs.mirror.Lead(generation)
	fs.mirror.Keep(generation, wanted)
}

// alike asks rsync whether two members have the same.
func (w *world) alike(a, b *member) error {
	out, err := exec.Command("rsync", "-n", "-aHAXc", "-@-1", "--itemize-changes", "--delete", "--no-D", a.path+"/", b.path+"/").CombinedOutput()
	if err != nil || len(out) > 0 {
		return fmt.Errorf("%v:\n%s", err, out)
	}
	return nil
}

// has waits until a replica of a member is complete and has everything.
func (m *member) has(t *testing.T, name string) ReplicaStatus {
	t.Helper()
	var found ReplicaStatus
	eventually(t, func() error {
		s := m.mirror.Status()
		for _, r := range s.Replicas {
			if r.Name == name {
				found = r
			}
		}
		if found.State != Complete || found.Number < s.Number {
			return fmt.Errorf("%+v of %d", found, s.Number)
		}
		return nil
	})
	return found
}

// Invariant I4: what a new file sharing server looks at, to take a copy that another fed for one of its own, is all in which they differ.
func TestCopiesThatMeetDifferInNothingElse(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w, fs, b, c := family(t)
			rnd := rand.New(rand.NewPCG(seed, 17))
			for range 200 {
				w.anything(rnd)
			}
			w.follows(1, fs, map[string]*member{"B": b, "C": c})
			w.watch(fs.mirror)
			fs.has(t, "B")
			fs.has(t, "C")
			for range 100 + rnd.IntN(400) {
				w.anything(rnd)
				if rnd.IntN(50) == 0 {
					time.Sleep(time.Duration(rnd.IntN(5)) * time.Millisecond)
				}
			}
			fs.mirror.Keep(2, nil) // its streams break off wherever they are
			must(t, b.receiver.End(context.Background()))
			must(t, c.receiver.End(context.Background()))
			if rnd.IntN(2) == 0 {
				b, c = c, b
			}
			s := w.feeds(b, c)
			b.mirror.Lead(2)
			b.mirror.Keep(2, nil)
			b.knows(t)
			b.mirror.here()
			changes, met, err := s.Meet(context.Background())
			if err != nil || !met {
				t.Fatalf("met: %t, %v; %+v and %+v", met, err, b.noted, c.noted)
			}
			if got := s.durable(nil); len(got) != 1 { // somebody may wait for what the copy has already
				t.Errorf("durable are %v", got)
			}
			if err := s.Apply(context.Background(), changes); err != nil {
				t.Fatal(err)
			}
			if got := s.durable(nil); len(got) != 0 {
				t.Errorf("durable are %v afterwards", got)
			}
			if _, met, err := s.Meet(context.Background()); met || err != nil {
				t.Errorf("met again in the session in which it was met: %v", err)
			}
			if err := w.alike(b, c); err != nil {
				t.Errorf("%d changes: %v", len(changes), err)
			}
		})
	}
}

// A copy counts again without a comparison of everything, which follows.
func TestACopyThatMeetsCountsAtOnce(t *testing.T) {
	w, fs, b, c := family(t)
	w.sh("for i in $(seq 300); do echo $i > $i; done")
	w.follows(1, fs, map[string]*member{"B": b, "C": c})
	w.watch(fs.mirror)
	fs.has(t, "B")
	fs.has(t, "C")
	w.sh("echo new > new; rm 7; mv 8 88")
	eventually(t, func() error { return w.alike(fs, b) })
	fs.mirror.Keep(2, nil)
	b.knows(t)
	w.follows(2, b, map[string]*member{"C": c})
	if got := b.has(t, "C"); got.Generation != 2 {
		t.Errorf("%+v", got)
	}
	must(t, w.alike(b, c))
	eventually(t, func() error {
		if s := b.mirror.Status().Replicas[0]; s.Checked.IsZero() || s.Comparison != nil {
			return fmt.Errorf("not compared as a whole yet: %+v", s)
		}
		return nil
	})
}

// A session that broke off is met again; what another has lost, or was never told, is compared as a whole.
func TestWhoDoesNotMeetIsComparedAsAWhole(t *testing.T) {
	w, fs, b, c := family(t)
	w.follows(1, fs, map[string]*member{"B": b, "C": c})
	w.watch(fs.mirror)
	w.sh("echo 1 > f")
	fs.has(t, "C")
	meets := func(from *member) bool {
		t.Helper()
		must(t, c.receiver.End(context.Background()))
		from.mirror.here()
		_, met, err := w.feeds(from, c).Meet(context.Background())
		must(t, err)
		return met
	}
	fs.has(t, "B")
	fs.mirror.here()
	fs.mirror.Keep(2, nil)
	if meets(fs) || meets(b) {
		t.Error("nobody looks at the names of the share any more")
	}
	fs.knows(t)
	b.knows(t)
	if !meets(fs) || !meets(b) {
		t.Error("they were fed the same")
	}
	c.history = &change.History{} // as after a restart
	c.receiver.History = c.history
	if meets(fs) || meets(b) {
		t.Error("what was done to the copy is not known any more")
	}
	c.history.Reached(c.noted, time.Now())
	b.mirror.Report(change.Change{Kind: change.Rescan, Path: "."})
	if !meets(fs) || meets(b) {
		t.Error("what was done to the share is not known any more")
	}
	c.mu.Lock()
	c.noted.Complete = false
	c.mu.Unlock()
	if meets(fs) {
		t.Error("the copy is not whole")
	}
}

// What a DRS2 is told is a position of the file sharing server, so that it meets that one when its feeder is gone.
func TestACopyOfACopyMeetsTheFirst(t *testing.T) {
	w, fs, b, c := family(t)
	w.sh("for i in $(seq 50); do echo $i > $i; done")
	w.follows(1, fs, map[string]*member{"B": b})
	w.watch(fs.mirror)
	fs.has(t, "B")
	transport := w.feeds(b, c)
	b.mirror.Transport = func(Wanted) Transport { return transport }
	b.mirror.Keep(1, []Wanted{{Name: "C"}})
	b.has(t, "C")
	w.sh("echo new > new; rm 7; echo x > 9")
	eventually(t, func() error { return w.alike(fs, c) })
	w.sh("echo newer > new")
	b.mirror.Keep(2, nil)
	fs.mirror.Keep(2, nil)
	must(t, c.receiver.End(context.Background()))
	fs.knows(t)
	s := w.feeds(fs, c)
	fs.mirror.here()
	changes, met, err := s.Meet(context.Background())
	if err != nil || !met {
		t.Fatalf("met: %t, %v", met, err)
	}
	must(t, s.Apply(context.Background(), changes))
	must(t, w.alike(fs, c))
}

// A DRS1 within a batch has begun what no position has yet: its replica is not told that it is exactly at the one before.
func TestAPositionOfACopyThatGoesOnIsNotExact(t *testing.T) {
	m := &Mirror{History: &change.History{}}
	m.Reached(change.Position{Generation: 1, Number: 7, Complete: true, Exact: true})
	m.number = 3
	for number, exact := range map[uint64]bool{0: true, 2: false} {
		if p, known := m.position(1, number, true); !known || p.Number != 7 || p.Exact != exact {
			t.Errorf("with %d changes: %+v, %t", number, p, known)
		}
	}
	if p, _ := m.position(1, 0, false); p.Exact {
		t.Error("more waits to be sent")
	}
	m.Reached(change.Position{Generation: 1, Number: 8, Complete: true, Exact: true})
	if p, _ := m.position(1, 3, true); p.Number != 8 || !p.Exact {
		t.Errorf("%+v", p)
	}
	m.Lead(2)
	if p, known := m.position(1, 5, true); known { // the record is not followed yet
		t.Errorf("%+v of the time before", p)
	}
	m.Lead(3)
	if p, _ := m.position(2, 5, true); p.Generation != 2 || p.Number != 5 || !p.Exact {
		t.Errorf("%+v", p)
	}
}
