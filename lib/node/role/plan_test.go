package role

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
)

var places = Places{Client: "/run/hafs/client", Nowhere: "/run/hafs/no-share"}

func cluster(fs, pairs, failed string) record.Record {
	r := record.Record{Cluster: "test", Generation: 7, DataDirectory: "/nfs", FS: record.FileServer{Name: fs, SharedArea: "/nfs", Link: "/system", VirtualAddress: "10.0.0.9/24"}}
	for _, name := range strings.Fields("L1 W3 M2 M1 L2 M3") {
		status := record.Active
		if strings.Contains(failed, name) {
			status = record.Failed
		}
		r.Servers = append(r.Servers, record.Server{Name: name, Status: status})
	}
	for _, p := range strings.Split(pairs, ",") {
		one, two, _ := strings.Cut(p, "/")
		r.Pairs = append(r.Pairs, record.Pair{DRS1: one, DRS2: two})
	}
	return r
}

// Scenarios: `record FS PAIRS [FAILED]`, `self NAME`, what is there (`now` link=… confirmed leased draining units=a,b ending=c session=kind:from), and the
// steps that `expect` lists, one a line, in their order; steps of one phase share it. A plan that was carried out must leave nothing to do.
func TestPlans(t *testing.T) {
	text, err := os.ReadFile("testdata/plans.txt")
	if err != nil {
		t.Fatal(err)
	}
	var r record.Record
	var self string
	var now Now
	var got []string
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] != "expect" && len(got) > 0 {
			t.Fatalf("plans.txt:%d: steps not expected: %q", i, got)
		}
		switch words[0] {
		case "record":
			r = cluster(words[1], words[2], strings.Join(words[3:], " "))
		case "self":
			self = words[1]
		case "now":
			now = parseNow(words[1:])
			got = nil
			for _, s := range Plan(r, self, now, places) {
				got = append(got, fmt.Sprintf("%d %s", s.Phase, s))
			}
		case "expect":
			want := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "expect"))
			if want == "nothing" {
				if len(got) != 0 {
					t.Fatalf("plans.txt:%d: got %q, want nothing", i+1, got)
				}
				continue
			}
			if len(got) == 0 || got[0] != want {
				t.Fatalf("plans.txt:%d: got %q, want %q first", i+1, got, want)
			}
			got = got[1:]
		}
	}
}

func parseNow(words []string) Now {
	now := Now{Units: map[string]bool{}, Ending: map[string]bool{}, Mounted: map[string]string{}}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		for _, item := range strings.FieldsFunc(value, func(c rune) bool { return c == ',' }) {
			name, more, _ := strings.Cut(item, ":")
			switch key {
			case "units":
				now.Units["hafs-"+name] = true
				if more != "" {
					now.Mounted["hafs-"+name] = more
				}
			case "ending":
				now.Ending["hafs-"+name] = true
			case "session":
				now.Sessions = append(now.Sessions, Session{Session: gate.Session{Kind: gate.Kind(name), From: more, Generation: 6}, PID: 1})
			}
		}
		switch key {
		case "link":
			now.LinkTo = value
		case "confirmed":
			now.Confirmed = true
		case "leased":
			now.Leased = true
		case "torn":
			now.Torn = true
		case "draining":
			now.Draining = true
		}
	}
	return now
}
