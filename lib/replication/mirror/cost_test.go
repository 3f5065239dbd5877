package mirror

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// What a local replica costs is logged, in time and in processor time of both sides. A single change through a stream must cost few frames: two
// round trips.
func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const files, fileBytes, changes = 10_000, 4096, 500
	local(t, func(t *testing.T, w *world) {
		measure := func(what string, n, times int, act func(n int) func()) {
			var wall, used time.Duration
			for i := range times {
				apply := act(i)
				start, before := time.Now(), processor(t)
				apply()
				wall, used = wall+time.Since(start), used+processor(t)-before
			}
			each := time.Duration(n * times)
			t.Logf("%s: %v, each %v and %v of processor", what, wall.Round(time.Millisecond), wall/each, used/each)
		}
		w.quiet = true
		transport := w.transport()
		defer transport.Close()
		must(t, transport.Apply(t.Context(), nil))
		for i := range files {
			must(t, os.WriteFile(w.path(fmt.Sprintf("f%05d", i)), bytes.Repeat([]byte{byte(i)}, fileBytes), 0o644))
		}
		all := func(int) func() { return func() { must(t, transport.Apply(t.Context(), everything)) } }
		measure("ten thousand files", files, 1, all)
		measure("a comparison of them", files, 1, all)
		var before int64
		one := func(n int) func() {
			must(t, os.WriteFile(w.path("f00000"), bytes.Repeat([]byte{byte(n)}, fileBytes), 0o644))
			before = transport.(interface{ Progress() int64 }).Progress()
			return func() { must(t, transport.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "f00000"}})) }
		}
		measure("one change", 1, changes, one)
		s, is := transport.(*Stream)
		if is {
			// look, entries; begin, write, end, result; and what copying counts
			if frames := s.Progress() - before; frames > 8 {
				t.Errorf("%d frames for one change", frames)
			}
			s.Sync = false
		} else {
			transport.(*Directory).Sync = false
		}
		measure("one change without sync", 1, changes, one)
	})
}

func processor(t *testing.T) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
