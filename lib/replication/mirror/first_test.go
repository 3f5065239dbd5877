package mirror

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A process that starts after a loss of power, which takes the status with it, numbers nothing as one before it did.
func TestNumbersAreNotUsedTwice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "copy", "numbers")
	last := uint64(0)
	for start := range 3 {
		first, err := FirstNumber(file, time.Now())
		must(t, err)
		w := three(t)
		m := &Mirror{Share: w.member("B").mirror.Share, First: first, Log: w.log()}
		m.Start(t.Context())
		m.ReportAll([]string{"f"})
		if now := m.Status().Number; start > 0 && now <= last+1_000_000 {
			t.Errorf("%d after %d", now, last)
		} else {
			last = now
		}
	}
	must(t, os.WriteFile(file, []byte("torn"), 0o644))
	if first, err := FirstNumber(file, time.Now()); err != nil || first <= last+stride {
		t.Errorf("%d after damage, %v", first, err)
	}
}
