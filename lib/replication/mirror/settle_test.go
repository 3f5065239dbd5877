package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// remote is a replica that takes changes when it is let.
type remote struct {
	gate  chan struct{} // closed: it works
	mu    sync.Mutex
	taken []change.Change
}

func (r *remote) Apply(ctx context.Context, changes []change.Change) error {
	select {
	case <-r.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, changes...)
	return nil
}

func (r *remote) Close() {}

func threeReplicas(t *testing.T) (*Mirror, map[string]*remote) {
	t.Helper()
	share := t.TempDir()
	must(t, os.WriteFile(filepath.Join(share, change.Marker), []byte(testMarker), 0o644))
	root, err := tree.Open(share)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	remotes := map[string]*remote{}
	var wanted []Wanted
	for _, name := range []string{"A", "B", "C"} {
		remotes[name] = &remote{gate: make(chan struct{})}
		wanted = append(wanted, Wanted{Name: name})
	}
	m := &Mirror{Share: root, Pace: Pace{Every: time.Hour}, Log: zerolog.Nop(), Transport: func(w Wanted) Transport { return remotes[w.Name] }}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	m.Start(ctx)
	m.Keep(1, wanted)
	return m, remotes
}

func settling(m *Mirror, path string) <-chan error {
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	go func() { defer cancel(); done <- m.Settle(ctx, []string{path}, 0) }()
	return done
}

// Invariant I3: what was acknowledged is on a majority of the pairs.
func TestAChangeSettlesWhenMostReplicasHaveIt(t *testing.T) {
	m, remotes := threeReplicas(t)
	done := settling(m, "file")
	close(remotes["A"].gate)
	for deadline := time.Now().Add(10 * time.Second); m.Status().Replicas[0].State != Complete; {
		if time.Now().After(deadline) {
			t.Fatalf("the first replica is not complete: %+v", m.Status())
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatalf("settled on one of three replicas (%v)", err)
	default:
	}
	close(remotes["B"].gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(remotes["C"].taken) > 0 {
		t.Fatal("the replica that hangs was not to be waited for")
	}
}

func TestAReplicaThatIsReplacedDoesNotHoldUpForEver(t *testing.T) {
	m, remotes := threeReplicas(t)
	close(remotes["A"].gate)
	done := settling(m, "file")
	remotes["D"] = &remote{gate: make(chan struct{})}
	close(remotes["D"].gate)
	m.Keep(2, []Wanted{{Name: "A"}, {Name: "D"}, {Name: "C"}}) // D begins with a comparison of everything, which covers the change
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// gradual is a remote that says whether it was ever whole. It is compared as a whole when it is let.
type gradual struct {
	*remote
	whole bool
}

func (g gradual) LeadsTo(change.Position) {}
func (g gradual) Standing() Standing {
	if g.whole {
		return Whole
	}
	return Unfilled
}

func (g gradual) Part(ctx context.Context, c *Comparison) error {
	c.Done = true
	return g.Apply(ctx, nil)
}

func gradualReplicas(t *testing.T, whole ...bool) (*Mirror, []gradual) {
	t.Helper()
	m, _ := threeReplicas(t)
	remotes := map[string]gradual{}
	var all []gradual
	var wanted []Wanted
	for i, w := range whole {
		name := string(rune('D' + i))
		remotes[name] = gradual{&remote{gate: make(chan struct{})}, w}
		all, wanted = append(all, remotes[name]), append(wanted, Wanted{Name: name})
	}
	m.Transport = func(w Wanted) Transport { return remotes[w.Name] }
	m.Keep(2, wanted)
	return m, all
}

// A new DRS1 may take long to be filled: nobody waits for it as long as another has a whole copy.
func TestAReplicaThatIsFilledIsNotWaitedFor(t *testing.T) {
	m, remotes := gradualReplicas(t, true, false)
	done := settling(m, "file")
	select {
	case err := <-done:
		t.Fatalf("settled on none (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(remotes[0].gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// stuck is a remote that is busy for long, as while it is verified.
type stuck struct {
	gradual
	asked chan struct{}
	let   chan struct{}
}

func (s stuck) LeadsTo(change.Position) {
	close(s.asked)
	<-s.let
}

// positions is a remote that keeps what it is led to.
type positions struct {
	gradual
	led chan change.Position
}

func (p positions) LeadsTo(to change.Position) { p.led <- to }

// A position is of the newest generation even if nothing is written in it.
func TestAReplicaHearsOfANewGeneration(t *testing.T) {
	m, _ := threeReplicas(t)
	p := positions{gradual{&remote{gate: make(chan struct{})}, true}, make(chan change.Position, 10)}
	close(p.gate)
	m.Transport = func(Wanted) Transport { return p }
	m.Keep(2, []Wanted{{Name: "D"}})
	for generation := uint64(2); generation < 5; generation++ {
		select {
		case got := <-p.led:
			if got.Generation != generation || !got.Complete {
				t.Errorf("generation %d: %+v", generation, got)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing is said in generation %d", generation)
		}
		eventually(t, func() error {
			if s := m.Status().Replicas[0]; s.State != Complete || s.Generation != generation {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		m.Keep(generation+1, []Wanted{{Name: "D"}})
	}
}

func TestNobodyWaitsForAReplicaThatIsBusy(t *testing.T) {
	m, _ := threeReplicas(t)
	s := stuck{gradual{&remote{gate: make(chan struct{})}, true}, make(chan struct{}), make(chan struct{})}
	defer close(s.let)
	m.Transport = func(Wanted) Transport { return s }
	m.Keep(2, []Wanted{{Name: "D"}})
	<-s.asked
	told := make(chan Status, 1)
	go func() { told <- m.Status() }()
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatal("its status is not told")
	}
}

func TestNoReplicaIsWhole(t *testing.T) {
	m, remotes := gradualReplicas(t, false, false)
	if err := <-settling(m, "file"); err != nil {
		t.Error("nothing has to be waited for: ", err)
	}
	if err := m.Settle(t.Context(), []string{"file"}, 1); !errors.Is(err, ErrNoCopies) {
		t.Errorf("acknowledged without any copy: %v", err)
	}
	if err := m.AnyWhole(t.Context()); !errors.Is(err, ErrNoCopies) {
		t.Errorf("let in without any copy: %v", err)
	}
	close(remotes[1].gate)
	eventually(t, func() error { return m.AnyWhole(t.Context()) })
}

func TestTheLastCopyGoesWhileItIsWaitedFor(t *testing.T) {
	m, _ := gradualReplicas(t, true)
	must(t, m.AnyWhole(t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.Settle(t.Context(), []string{"file"}, 1) }()
	select {
	case err := <-done:
		t.Fatalf("settled on none (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	m.Keep(3, nil)
	if err := <-done; !errors.Is(err, ErrNoCopies) {
		t.Fatalf("acknowledged without any copy: %v", err)
	}
}

// late is a remote that says only when it is let whether it is whole, and nothing more.
type late struct {
	gradual
	says *atomic.Int32
}

func (l late) Standing() Standing { return Standing(l.says.Load()) }

func lateReplica(t *testing.T) (*Mirror, late, <-chan error) {
	t.Helper()
	m, _ := threeReplicas(t)
	l := late{gradual{&remote{gate: make(chan struct{})}, false}, &atomic.Int32{}}
	m.Transport = func(Wanted) Transport { return l }
	m.Keep(2, []Wanted{{Name: "D"}})
	done := make(chan error, 1)
	go func() { done <- m.AnyWhole(t.Context()) }()
	select {
	case err := <-done:
		t.Fatalf("nobody has said anything, and it is decided (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	return m, l, done
}

func TestAReplicaMaySayWhetherItIsWhole(t *testing.T) {
	for says, want := range map[Standing]error{Whole: nil, Unfilled: ErrNoCopies} {
		m, l, done := lateReplica(t)
		l.says.Store(int32(says))
		m.advance()
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("it says %d: %v", says, err)
		}
	}
}

func TestAReplicaThatSaysNothingIsNotWaitedForForEver(t *testing.T) {
	m, _, done := lateReplica(t)
	m.mu.Lock()
	m.replicas[0].kept = time.Now().Add(-greetingPatience)
	m.mu.Unlock()
	m.advance()
	if err := <-done; !errors.Is(err, ErrNoCopies) {
		t.Errorf("let in: %v", err)
	}
	if err := m.AnyWhole(t.Context()); !errors.Is(err, ErrNoCopies) {
		t.Errorf("the next one is let in: %v", err)
	}
}

// A DRS1 that becomes the file sharing server has its DRS2 as its only replica until it follows the record; one that has just started has none.
func TestNothingSettlesByReplicasOfAnOlderRecord(t *testing.T) {
	for name, before := range map[string][]Wanted{"a replica of the generation before": {{Name: "A"}}, "none yet": nil} {
		t.Run(name, func(t *testing.T) {
			m, remotes := threeReplicas(t)
			m.Newest = func() uint64 { return 2 }
			close(remotes["A"].gate)
			m.Keep(1, before)
			whole := make(chan error, 1)
			go func() { whole <- m.AnyWhole(t.Context()) }()
			done := settling(m, "file")
			select {
			case err := <-done:
				t.Fatalf("settled (%v)", err)
			case err := <-whole:
				t.Fatalf("let in, or not (%v)", err)
			case <-time.After(50 * time.Millisecond):
			}
			m.Keep(2, []Wanted{{Name: "A"}, {Name: "B"}, {Name: "C"}})
			must(t, <-whole)
			select {
			case err := <-done:
				t.Fatalf("settled on one of three (%v)", err)
			case <-time.After(50 * time.Millisecond):
			}
			close(remotes["B"].gate)
			must(t, <-done)
		})
	}
}

func TestWithoutReplicasThereIsNothingToWaitFor(t *testing.T) {
	m, _ := threeReplicas(t)
	m.Keep(2, nil)
	if err := <-settling(m, "file"); err != nil {
		t.Fatal(err)
	}
}
