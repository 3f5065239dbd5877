package mirror

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
)

// noted keeps the positions that a replica was told.
type noted struct {
	mu   sync.Mutex
	last change.Position
}

func (n *noted) note(p change.Position) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = p
	return nil
}

func (n *noted) number() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last.Number
}

// Invariant I3: a replica that lacks what was acknowledged without it is not furthest, however much else it has.
func TestWhoLacksWhatOthersTookIsNotFurthest(t *testing.T) {
	w := three(t)
	var of = map[string]*noted{}
	for _, name := range []string{"B", "C"} {
		of[name] = &noted{}
		w.more[name] = w.stream(&stream.Receiver{Path: w.copy(name), Cluster: "test", Note: of[name].note, Log: w.log()})
	}
	w.run()
	must(t, w.settles("f", "1"))
	w.restored("r", "B", "C")
	w.settle()
	free := covered(t, filepath.Join(w.copy("B"), "f"))
	must(t, w.settles("f", "22"))
	w.lacked("B", "f", OfReplica)
	before := of["B"].number()
	for i := range 5 {
		must(t, w.settles(fmt.Sprint("other", i), "x"))
	}
	eventually(t, func() error {
		if s := w.status("B"); s.Number < w.mirror.Status().Number || of["C"].number() <= before {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if now := of["B"].number(); now != before {
		t.Errorf("position %d, and %d with more changes", before, now)
	}
	free()
	w.restored("B")
	eventually(t, func() error {
		if now := of["B"].number(); now < w.mirror.Status().Number {
			return fmt.Errorf("it was not told its position: %d of %d", now, w.mirror.Status().Number)
		}
		return nil
	})
}

// What most lack was refused: nobody counts on it, and all go on.
func TestWhoLacksWhatMostLackGoesOn(t *testing.T) {
	w := three(t)
	b := &noted{}
	w.more["B"] = w.stream(&stream.Receiver{Path: w.copy("B"), Cluster: "test", Note: b.note, Log: w.log()})
	w.run()
	must(t, w.settles("f", "1"))
	w.restored("r", "B", "C")
	w.settle()
	covered(t, filepath.Join(w.copy("B"), "f"))
	covered(t, filepath.Join(w.copy("C"), "f"))
	if err := w.settles("f", "22"); err == nil {
		t.Error("it was acknowledged")
	}
	w.lacked("B", "f", OfReplica)
	w.lacked("C", "f", OfReplica)
	must(t, w.settles("other", "x"))
	began := time.Now()
	eventually(t, func() error {
		if now := b.number(); now < w.mirror.Status().Number {
			return fmt.Errorf("position %d of %d after %s", now, w.mirror.Status().Number, time.Since(began))
		}
		return nil
	})
}
