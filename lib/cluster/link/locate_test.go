package link

import (
	"os"
	"path/filepath"
	"testing"

	"hafs/lib/cluster/repair"
	"hafs/lib/testkit/recordtest"
)

// I3: what a server says of its copy is of now. One that was a spare meanwhile has an old share, however complete it was.
func TestAnOldPositionIsNotComplete(t *testing.T) {
	first := recordtest.Parse(t, "fs=a pairs=b/c,d/e")
	d := newVoter(t, "c", t.TempDir(), first)
	locate := func() *repair.Position { return d.answer("a", Request{Kind: Locate, Cluster: "test"}).Position }
	if p := locate(); p != nil {
		t.Fatal("nothing was noted:", *p)
	}
	if err := os.MkdirAll(filepath.Dir(d.Settings.Position()), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Settings.Position(), []byte(`{"Complete": true, "Generation": 7, "Number": 12}`), 0o600); err != nil {
		t.Fatal(err)
	}
	n := uint64(7)
	for _, c := range []struct {
		record   string
		complete bool
	}{
		{"fs=a pairs=b/c,d/e", true},
		{"fs=a pairs=c/trouble,d/e failed=b", true}, // it moves up
		{"fs=a pairs=b/trouble,d/e spares=c", false},
		{"fs=a pairs=b/c,d/e", false}, // it has missed a generation
	} {
		n++
		next := recordtest.Parse(t, c.record)
		next.Generation = n
		if err := d.install(next, d.store.Install, "chosen"); err != nil {
			t.Fatal(err)
		}
		if p := locate(); p == nil || p.Complete != c.complete || p.Number != 12 {
			t.Errorf("%d: %s: %+v", n, c.record, p)
		}
	}
}
