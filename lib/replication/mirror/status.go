package mirror

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"hafs/lib/host/problem"
)

// Status is what hafs-mirror says of itself in /run/hafs/mirror.json.
type Status struct {
	Share      string          `json:"share"`
	Generation uint64          `json:"generation"` // of the record the replicas come from; 0 when they were named by hand
	Number     uint64          `json:"number"`     // changes reported so far: the share's position
	PID        int             `json:"pid"`
	Updated    time.Time       `json:"updated"`
	Replicas   []ReplicaStatus `json:"replicas"`
	Behind     *Behind         `json:"behind,omitempty"`  // the replica that does not take what others take
	Problem    string          `json:"problem,omitempty"` // why the share as a whole takes no changes
	ProblemID  problem.ID      `json:"problem_id,omitempty"`
}

// ReplicaStatus is one replica's part of Status.
type ReplicaStatus struct {
	Name       string    `json:"name"`
	Transport  string    `json:"transport"`  // directory, rsync or stream
	Target     string    `json:"target"`     // where it is reached
	Generation uint64    `json:"generation"` // in which it was last found complete
	State      State     `json:"state"`
	Since      time.Time `json:"since"`             // of the state
	Counts     bool      `json:"counts"`            // it has been whole, so that clients' changes wait for it
	Number     uint64    `json:"number"`            // every change up to this one is on the replica; the replica's position
	Pending    int       `json:"pending"`           // changes that wait or are being applied
	Stalled    int       `json:"stalled_seconds"`   // how long it has not answered while there was work; 0: it answers
	Error      string    `json:"error,omitempty"`   // why it is broken, or was since it was complete
	Failures   int       `json:"failures"`          // since the mirror started
	Checked    time.Time `json:"checked,omitzero"`  // when everything was last compared
	Held       int       `json:"held,omitempty"`    // deletes that are held back; see DeleteBudget
	Lacks      []Lack    `json:"lacks,omitempty"`   // paths that it has not as the share has them, the first of them
	Lacking    int       `json:"lacking,omitempty"` // how many those are in all
	Comparison *Progress `json:"comparison,omitempty"`
	Scrub      *Scrub    `json:"scrub,omitempty"` // the last one
}

// Progress of a comparison of everything: of a replica that is filled, or in the background.
type Progress struct {
	Sums    bool      `json:"sums,omitempty"` // contents too
	Entries int       `json:"entries"`        // of the share that were compared
	Of      int       `json:"of,omitempty"`   // that there are, about; 0: not known yet
	Sent    int64     `json:"sent_bytes"`     // of content
	Began   time.Time `json:"began"`
	Left    int       `json:"seconds_left,omitempty"` // about; 0: not known
}

// Text is how far it is: "12000 of 50000 files, 310 MiB, 12.1 MiB/s, 2m30s left".
func (p Progress) Text(now time.Time) string {
	text := fmt.Sprintf("%d files", p.Entries)
	if p.Of > 0 {
		text = fmt.Sprintf("%d of %d files", p.Entries, p.Of)
	}
	if p.Sent > 0 {
		text += fmt.Sprintf(", %d MiB", p.Sent>>20)
		if spent := now.Sub(p.Began).Seconds(); spent > 0 {
			text += fmt.Sprintf(", %.1f MiB/s", float64(p.Sent)/(1<<20)/spent)
		}
	}
	if p.Left > 0 {
		text += fmt.Sprintf(", %s left", time.Duration(p.Left)*time.Second)
	}
	return text
}

// Scrub is what came of a comparison of contents.
type Scrub struct {
	Ended    time.Time `json:"ended"`
	Seconds  int       `json:"seconds"` // it took
	Entries  int       `json:"entries"`
	Bytes    int64     `json:"read_bytes"`
	Differed []string  `json:"differed,omitempty"` // files that had another content and were written anew, the first of them
}

// lag says why a replica has not everything yet: "M2: broken, 12 changes pending, no route to host".
func (r ReplicaStatus) lag(now time.Time) string {
	text := fmt.Sprintf("%s: %s, %d changes pending", r.Name, r.State, r.Pending)
	if r.Comparison != nil {
		text += ", " + r.Comparison.Text(now)
	}
	if r.Stalled > 0 {
		text += fmt.Sprintf(", no answer for %d s", r.Stalled)
	}
	for _, l := range r.Lacks {
		if l.Side == OfReplica {
			text += ", lacks " + l.Path + ": " + l.Cause
			break
		}
	}
	if r.Error != "" {
		text += ", " + r.Error
	}
	return text
}

// State of a replica.
type State string

const (
	Filling  State = "filling"  // not yet compared as a whole, or not since its session was lost
	Complete State = "complete" // like the share but for what is pending
	Broken   State = "broken"   // the last attempt failed; the whole will be compared again
)

// ReadStatus reads mirror.json.
func ReadStatus(path string) (Status, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Status{}, err
	}
	var s Status
	return s, json.Unmarshal(text, &s)
}

// Write replaces mirror.json for readers at any moment.
func (s Status) Write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}
