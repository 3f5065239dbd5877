package promote

import (
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
)

// serving is what servers say that are well.
func serving(r record.Record, self string) map[string]link.Details {
	said := map[string]link.Details{}
	for _, s := range r.Servers {
		if s.Name != self && s.Status != record.Failed {
			said[s.Name] = link.Details{Facts: link.Facts{Cluster: r.Cluster, Generation: r.Generation, Healthy: true}, Leased: s.Name == r.FS.Name}
		}
	}
	return said
}

// I1: a server that says no examination time keeps to the one before, which others may have changed while it was no member.
func TestWhoIsTakenBack(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2 failed=X1")
	for _, c := range []struct {
		what string
		but  func(*link.Facts)
		want string // a part of the reason
	}{
		{"of another cluster", func(f *link.Facts) { f.Cluster = "other" }, "belongs to cluster"},
		{"behind", func(f *link.Facts) { f.Generation-- }, "has generation 6, not yet 7"},
		{"not healthy", func(f *link.Facts) { f.Healthy, f.Problem = false, "broken" }, "is not healthy: broken"},
		{"of an older release", func(f *link.Facts) { f.Examination = 0 }, "bring this release to it first"},
		{"not up to date", func(f *link.Facts) { f.Fit = false }, "has not brought its copy up to date"},
		{"fit", func(*link.Facts) {}, ""},
	} {
		f := link.Facts{Cluster: r.Cluster, Generation: r.Generation, Healthy: true, Fit: true, Examination: time.Second}
		c.but(&f)
		if got := Unfit(f, r); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestWhoMayTakeAnEmptyDisk(t *testing.T) {
	const cluster = "fs=L1 pairs=W3/M2,M1/trouble spares=M3 failed=X1,X2"
	change := func(name string, edit func(*link.Details)) func(map[string]link.Details) {
		return func(said map[string]link.Details) {
			d := said[name]
			edit(&d)
			said[name] = d
		}
	}
	silent := func(name string) func(map[string]link.Details) {
		return func(said map[string]link.Details) { delete(said, name) }
	}
	refilling := func(d *link.Details) { d.Refilling = true }
	for _, c := range []struct {
		what, self string
		but        func(map[string]link.Details)
		want       string // a part of the reason
	}{
		// Refusals first.
		{"FS", "L1", nil, "is the file sharing server"},
		{"who feeds another", "W3", nil, "feeds M2, which would be emptied with it"},
		{"FS is silent", "X1", silent("L1"), "L1 does not answer, so it is not known whether a whole copy is left"},
		{"FS has no lease", "X1", change("L1", func(d *link.Details) { d.Leased = false }), "L1 does not serve"},
		{"FS is of another generation", "X1", change("L1", func(d *link.Details) { d.Facts.Generation++ }), "L1 does not serve"},
		{"FS has no share either", "X1", change("L1", func(d *link.Details) { d.Facts.Bare = gate.EmptyDisk }), "L1 does not serve"},
		{"a member is silent", "X1", silent("M2"), "M2 does not answer, and may be filled anew itself"},
		{"a member is being filled", "M2", change("M1", refilling), "M1 has taken an empty disk and is not whole yet"},
		{"a failed one is being filled", "M2", change("X1", refilling), "X1 has taken an empty disk and is not whole yet"},

		{"one that failed, others of which are off", "X1", nil, ""},
		{"a DRS2", "M2", nil, ""},
		{"a DRS1 that feeds nobody", "M1", nil, ""},
		{"a spare, whatever else", "M3", silent("L1"), ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := recordtest.Parse(t, cluster)
			said := serving(r, c.self)
			if c.but != nil {
				c.but(said)
			}
			if got := Untaken(r, c.self, said); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
