package dial

import (
	"encoding/json"
	"maps"
	"sync"
	"time"

	"hafs/lib/host/problem"
)

// Failure is a connection that should be there and is not.
type Failure struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"` // of the last attempt
	// ProblemID is the error's; empty: it has none, or the keeper is of an older release.
	ProblemID problem.ID `json:"problem_id,omitempty"`
	// Again says that the attempt before failed with the same id.
	Again bool `json:"again,omitempty"`
}

// failures are those of the connections that are kept, by server.
type failures struct {
	mu      sync.Mutex
	now     map[string]Failure
	changed chan struct{}
}

func (f *failures) note(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, failed := f.now[name]
	switch {
	case err == nil && !failed:
		return
	case err != nil && before.Error == err.Error() && (before.Again || problem.Of(err) == ""):
		return
	case err == nil:
		delete(f.now, name)
	default:
		if !failed {
			before.Since = time.Now()
		}
		id := problem.Of(err)
		before.Again = id != "" && id == before.ProblemID
		before.Error, before.ProblemID = err.Error(), id
		if f.now == nil {
			f.now = map[string]Failure{}
		}
		f.now[name] = before
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *failures) text() ([]byte, error) {
	f.mu.Lock()
	all := maps.Clone(f.now)
	f.mu.Unlock()
	if all == nil {
		all = map[string]Failure{}
	}
	return json.Marshal(all)
}
