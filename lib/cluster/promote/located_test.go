package promote

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/repair"
	"hafs/lib/testkit/recordtest"
)

func TestWhoIsWaitedFor(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2")
	for _, c := range []struct {
		gone      string
		positions repair.Positions
		waited    time.Duration
		done      bool
	}{
		{"L1", repair.Positions{}, 0, false},
		{"L1", repair.Positions{"W3": repair.None}, LocatePatience - 1, false},
		{"L1", repair.Positions{"W3": repair.None}, LocatePatience, true},
		{"L1", repair.Positions{"W3": repair.None, "M1": {Complete: true}}, 0, true},
		{"L1 W3", repair.Positions{"M1": {Complete: true}}, 0, true},     // who is gone is not waited for
		{"L1 W3 M1", repair.Positions{"M2": {Complete: true}}, 0, false}, // DRS2s are, when no DRS1 is left
		{"L1 W3 M1", repair.Positions{"M2": {}, "L2": repair.None}, 0, true},
	} {
		if done := Located(r, strings.Fields(c.gone), c.positions, c.waited); done != c.done {
			t.Errorf("%s gone, %v after %s: %t", c.gone, c.positions, c.waited, done)
		}
	}
}

// One replica hangs but for its heartbeats: the others are heard at once, and it has the time of LocatePatience.
func TestASilentReplicaIsWaitedFor(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2,W1/L3")
	whole := repair.Position{Complete: true, Generation: 7, Number: 12}
	p := linkcheck(t, map[string]link.Peer{}, nil, repair.Positions{"W3": whole, "M1": {Generation: 7, Number: 90}}, "W1")
	ask := func(gone ...string) (time.Duration, repair.Positions, error) {
		began := time.Now()
		gone, positions := p.positions(t.Context(), r, func() []string { return gone })
		_, err := repair.Repair(r, gone, positions)
		return time.Since(began), positions, err
	}
	took, positions, err := ask("L1")
	if refusal := (repair.Refusal{}); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "W1") || took < LocatePatience {
		t.Errorf("%v after %s, of %v", err, took, positions)
	}
	if _, answered := positions["W1"]; answered || positions["W3"] != whole {
		t.Error(positions)
	}
	if took, _, err := ask("L1", "W1"); err != nil || took >= LocatePatience {
		t.Errorf("all that live have answered: %v after %s", err, took)
	}
	if took, positions, _ := ask("M1"); positions != nil || took >= LocatePatience {
		t.Errorf("the file sharing server lives: %v after %s", positions, took)
	}
}

// It is found lost while it is waited for.
func TestWhoFailsMeanwhileIsNotWaitedFor(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2,W1/L3")
	p := linkcheck(t, map[string]link.Peer{}, nil, repair.Positions{"W3": {Complete: true}, "M1": repair.None}, "W1")
	began, looks := time.Now(), 0
	gone, positions := p.positions(t.Context(), r, func() []string {
		if looks++; looks < 3 {
			return []string{"L1"}
		}
		return []string{"L1", "W1"}
	})
	next, err := repair.Repair(r, gone, positions)
	if took := time.Since(began); err != nil || next.FS.Name != "W3" || took >= LocatePatience {
		t.Errorf("%s, %v after %s", next, err, took)
	}
}
