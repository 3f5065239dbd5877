package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
	"hafs/lib/stream"
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

func (g gradual) LeadsTo(stream.Position) {}
func (g gradual) Filling() bool           { return !g.whole }
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

func (s stuck) LeadsTo(stream.Position) {
	close(s.asked)
	<-s.let
}

// positions is a remote that keeps what it is led to.
type positions struct {
	gradual
	led chan stream.Position
}

func (p positions) LeadsTo(to stream.Position) { p.led <- to }

// A position is of the newest generation even if nothing is written in it.
func TestAReplicaHearsOfANewGeneration(t *testing.T) {
	m, _ := threeReplicas(t)
	p := positions{gradual{&remote{gate: make(chan struct{})}, true}, make(chan stream.Position, 10)}
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
	m, _ := gradualReplicas(t, false, false)
	if err := <-settling(m, "file"); err != nil {
		t.Error("nothing has to be waited for: ", err)
	}
	if err := m.Settle(t.Context(), []string{"file"}, 1); !errors.Is(err, ErrNoCopies) {
		t.Errorf("acknowledged without any copy: %v", err)
	}
}

func TestWithoutReplicasThereIsNothingToWaitFor(t *testing.T) {
	m, _ := threeReplicas(t)
	m.Keep(2, nil)
	if err := <-settling(m, "file"); err != nil {
		t.Fatal(err)
	}
}
