package benchmark

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
)

// hafs is HAFS as it is deployed on the guests, fed in one of its two ways.
type hafs struct {
	transport   string
	acknowledge string
	share       string
}

func newHAFS(transport string) *hafs {
	return &hafs{transport: transport, acknowledge: "drs1", share: "/nfs"}
}

// benchShape is the shape inventory/bench.yml deploys: as many copies as every other subject keeps.
var benchShape = shape.Shape{FS: source, Pairs: map[int]record.Pair{1: {DRS1: first, DRS2: second}}, Failed: []string{},
	Spares: []string{"M1", "L2", "W1", "L3", "M3", "W2"}, Trouble: []string{}}

func (s *hafs) Name() string { return "hafs-" + s.transport }

func (s *hafs) Settings() []string {
	return []string{"transport " + s.transport, "acknowledge " + s.acknowledge, "one pair", "nine servers"}
}

func (s *hafs) Source() Place { return Place{source, s.share + "/bench"} }
func (s *hafs) Replicas() []Place {
	return []Place{{first, s.share + "/bench"}, {second, s.share + "/bench"}}
}
func (s *hafs) Then() string { return "" }

func (s *hafs) Mount(context.Context, *Field) (Place, error) {
	return Place{client, "/system/bench"}, nil
}

func (s *hafs) Start(ctx context.Context, f *Field) error {
	if err := s.set(ctx, f); err != nil {
		return err
	}
	if _, err := f.sh(ctx, source, "rm -rf "+s.Source().Directory+" && mkdir "+s.Source().Directory); err != nil {
		return err
	}
	return f.cluster.AwaitIdentical(ctx, startLimit)
}

// set has all servers take the settings, and waits until the cluster is whole.
func (s *hafs) set(ctx context.Context, f *Field) error {
	script := fmt.Sprintf("systemctl stop hafs.target; sed -i -e 's/^transport:.*/transport: %s/' -e 's/^acknowledge:.*/acknowledge: %s/' /etc/hafs/hafs.yml && systemctl start hafs.target",
		s.transport, s.acknowledge)
	if err := f.shAll(ctx, everybody(), script); err != nil {
		return err
	}
	return f.cluster.Restore(ctx, benchShape)
}

func (s *hafs) Stop(ctx context.Context, f *Field) error {
	_, err := f.sh(ctx, source, "rm -rf "+s.Source().Directory)
	return err
}

func everybody() []string {
	var all []string
	for _, m := range guests.Members() {
		all = append(all, m.Name)
	}
	return all
}

// othersStop stops HAFS when somebody else is measured.
func (r *run) othersStop(ctx context.Context, s Subject) error {
	if _, ours := s.(*hafs); ours {
		return nil
	}
	return r.shAll(ctx, everybody(), "systemctl stop hafs.target")
}

// serveHAFSAgain leaves the cluster as it was deployed.
func (f *Field) serveHAFSAgain(ctx context.Context) error {
	return newHAFS("stream").set(ctx, f)
}

// complaints are the errors that HAFS's own programs logged since a moment.
func (f *Field) complaints(ctx context.Context, since time.Time) ([]string, error) {
	var all []string
	for _, on := range everybody() {
		var text bytes.Buffer
		if err := witness.Journal(ctx, f.Lab, on, since, 0, &text); err != nil {
			return all, err
		}
		for line := range strings.Lines(text.String()) {
			if isComplaint(line) {
				all = append(all, on+": "+strings.TrimSpace(line))
			}
		}
	}
	return all, nil
}

// isComplaint is whether a line of a journal tells of an error, or of a program that broke down.
func isComplaint(line string) bool {
	var entry struct{ Level string }
	if json.Unmarshal([]byte(line), &entry) == nil {
		return entry.Level == "error" || entry.Level == "fatal" || entry.Level == "panic"
	}
	return strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:")
}
