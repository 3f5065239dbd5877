package benchmark

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"hafs/lib/lab/errand"
)

const (
	seriesInterval = 50 * time.Millisecond
	seriesFor      = 25 * time.Second // a slow subject gets fewer files
	seriesQuiet    = 8 * time.Second  // what has not come by then does not
)

// names of the two replicas in the report.
var replicaNames = []string{"first replica", "second replica"}

// latency writes one small file after the other.
func latency(ctx context.Context, r *run, s Subject) error {
	const folder = "latency"
	if err := r.folder(ctx, s, folder); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	var waits []func() ([]errand.Seen, error)
	for _, p := range s.Replicas() {
		w, err := r.watch(watching, p.Guest, "arrive", p.Below(folder), "--files", strconv.Itoa(r.Files),
			"--quiet", seriesQuiet.String(), "--within", (seriesFor + 2*seriesQuiet).String())
		if err != nil {
			return err
		}
		waits = append(waits, w)
	}
	arguments := []string{"series", s.Source().Below(folder), "--files", strconv.Itoa(r.Files), "--interval", seriesInterval.String(), "--for", seriesFor.String()}
	if s.Then() != "" {
		arguments = append(arguments, "--then", s.Then())
	}
	done, err := r.errand(ctx, s.Source().Guest, arguments...)
	if err != nil {
		return err
	}
	for i, w := range waits {
		seen, err := w()
		if err != nil {
			return err
		}
		took, missing := latencies(done, seen)
		r.add(s, "latency", replicaNames[i], "ms", took...)
		if missing > 0 {
			return fmt.Errorf("%d of %d files did not arrive on the %s within %s", missing, len(done), replicaNames[i], seriesQuiet)
		}
	}
	return nil
}

// latencies pairs what was done with what was seen, in milliseconds.
func latencies(done []errand.Done, seen []errand.Seen) (took []float64, missing int) {
	at := map[string]int64{}
	for _, s := range seen {
		at[s.File] = s.At
	}
	for _, d := range done {
		if seen, found := at[d.File]; found {
			took = append(took, float64(seen-d.Begun)/1e6)
		} else {
			missing++
		}
	}
	return took, missing
}
