package mirror

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
)

// A change that is to be on the replicas of a replica too (acknowledge: drs2) is lacked until it is, also when the replica itself has had it for long.
func TestWhatAReplicaHasItsOwnReplicasMayLack(t *testing.T) {
	w := newWorld(t, "stream")
	stuck := true
	receiver := &stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log()}
	receiver.Passed = func(_ context.Context, _ []string, through bool) error {
		if through && stuck {
			return unix.EIO
		}
		return nil
	}
	s := w.stream(receiver)
	defer s.Close()
	s.lacks, s.Through = newLacks(), func() bool { return true }
	stuck = false
	must(t, s.Apply(t.Context(), everything))
	stuck = true
	w.sh("echo x > f; mkdir d; echo y > d/g")
	seen, waited := []change.Change{{Kind: change.Look, Path: "f"}}, []change.Change{{Kind: change.Look, Path: "f", Waited: true}}
	for when, changes := range map[string][]change.Change{"it comes": waited, "it is asked for again": waited, "the watch tells of it": seen} {
		if when != "it comes" {
			must(t, s.Apply(t.Context(), waited))
		}
		must(t, s.Apply(t.Context(), changes))
		if _, err := os.Stat(filepath.Join(w.replica, "f")); err != nil {
			t.Fatal(err)
		}
		if l, is := s.lacks.of("f"); !is || l.Errno != unix.EIO {
			t.Errorf("when %s: %+v", when, s.lacks.list())
		}
	}
	for _, path := range []string{"d", "d/g"} {
		must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: path, Waited: true}}))
	}
	due, _ := s.lacks.retries(s.lacks.list()[0].Since.Add(lastPause))
	if err := s.Apply(t.Context(), due); err == nil && len(s.lacks.list()) == 0 {
		t.Error("another look is enough")
	}
	stuck = false
	must(t, s.Apply(t.Context(), everything))
	must(t, s.Apply(t.Context(), due))
	if found := s.lacks.list(); len(found) > 0 {
		t.Errorf("it stays: %+v", found)
	}
}
