package status

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hafs/lib/client/dial"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/host/problem"
	"hafs/lib/node/feeding"
	"hafs/lib/node/role"
	"hafs/lib/replication/mirror"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/scenariotest"
)

// now is when every test looks.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is what the servers of a record say; at first all is well.
type world struct {
	record  record.Record
	answers map[string]Answer
}

func newWorld(r record.Record) world {
	w := world{r, map[string]Answer{}}
	for i, s := range r.Servers {
		a := Answer{RTT: time.Duration(i+1) * 100 * time.Microsecond}
		a.Details = link.Details{Facts: link.Facts{Cluster: r.Cluster, Generation: r.Generation, Healthy: true, Version: "v1", Examination: time.Second}, Confirmed: true, Leased: s.Name == r.FS.Name, FreeBytes: 40 << 30, SizeBytes: 80 << 30}
		a.Role = role.State{Generation: r.Generation, Role: r.Role(s.Name), Since: now.Add(-90 * time.Second)}
		for _, wanted := range feeding.Replicas(r, s.Name, true) {
			a.Mirror.Replicas = append(a.Mirror.Replicas, mirror.ReplicaStatus{Name: wanted.Name, State: mirror.Complete})
		}
		w.answers[s.Name] = a
	}
	return w
}

// happen changes what a server says.
func (w world) happen(event, name, text string) error {
	a := w.answers[name]
	var err error
	switch event {
	case "silent": // with an id, or -, and why
		id, text := cutID(text)
		a = Answer{Err: problem.As(id, errors.New(text))}
	case "lost": // id, part, and what it said last
		id, text := cutID(text)
		part, text, _ := strings.Cut(text, " ")
		a = Answer{Err: problem.On(part, id, errors.New(text))}
	case "deaf": // the daemon of the server that looks
		for name := range w.answers {
			w.answers[name] = Answer{Err: fmt.Errorf("%w: dial unix", link.ErrNotRunning)}
		}
		return nil
	case "disk": // id, directory, and what happened
		id, text := cutID(text)
		part, text, _ := strings.Cut(text, " ")
		if a.Details.Facts.ProblemID, a.Details.Facts.Problem = id, text; id != "" {
			a.Details.Facts.ProblemPart = part
		}
	case "problem", "remark": // id, part, and what it tells
		p := problem.Problem{Note: event == "remark"}
		p.ID, text = cutID(text)
		p.Part, p.Text, _ = strings.Cut(text, " ")
		a.Details.Problems = append(slices.Clip(a.Details.Problems), p)
	case "role": // id, and what happened
		a.Role.ProblemID, a.Role.Problem = cutID(text)
	case "refused", "newly", "again": // by another server, since a while, just now, or twice since: id, and why
		peer, reason, _ := strings.Cut(text, " ")
		f := dial.Failure{Since: now.Add(-2 * time.Second), Again: event == "again"}
		if event == "refused" {
			f.Since = now.Add(-time.Minute)
		}
		f.ProblemID, f.Error = cutID(reason)
		if a.Dial == nil {
			a.Dial = map[string]dial.Failure{}
		}
		a.Dial[peer] = f
	case "aside":
		a.Role.Aside = text
	case "version": // none: of a release that does not say it
		a.Details.Facts.Version = text
	case "examination":
		a.Details.Facts.Examination, err = time.ParseDuration(text)
	case "leaseless":
		a.Details.Leased = false
	case "wanted": // the examination time of its settings, which it does not go by
		a.Details.Facts.Wanted, err = time.ParseDuration(text)
	case "unconfirmed":
		a.Details.Confirmed = false
	case "generation":
		_, err = fmt.Sscan(text, &a.Details.Facts.Generation)
	case "free_mib":
		_, err = fmt.Sscan(text, &a.Details.FreeBytes)
		a.Details.FreeBytes <<= 20
	case "replica": // of this server, as its feeder sees it: a state, or none; then why
		state, reason, _ := strings.Cut(text, " ")
		for feeder, f := range w.answers {
			replicas := slices.Clone(f.Mirror.Replicas)
			for i := range replicas {
				if replicas[i].Name == name {
					replicas[i].State, replicas[i].Error = mirror.State(state), reason
				}
			}
			f.Mirror.Replicas = slices.DeleteFunc(replicas, func(r mirror.ReplicaStatus) bool { return r.State == "none" })
			w.answers[feeder] = f
		}
		return nil
	case "lacks": // this server, by its feeder: on which side, errno, path (of a directory with all in it: with /), cause
		words := strings.SplitN(text, " ", 4)
		for feeder, f := range w.answers {
			replicas := slices.Clone(f.Mirror.Replicas)
			for i := range replicas {
				if replicas[i].Name == name {
					path, below := strings.CutSuffix(words[2], "/")
					l := mirror.Lack{Side: mirror.Side(words[0]), Path: path, Below: below, Cause: words[3]}
					for errno, text := range errnos {
						if text == words[1] {
							l.Errno = errno
						}
					}
					replicas[i].Lacks = append(slices.Clip(replicas[i].Lacks), l)
					replicas[i].Lacking = len(replicas[i].Lacks)
				}
			}
			f.Mirror.Replicas = replicas
			w.answers[feeder] = f
		}
		return nil
	case "held", "scrubbed", "whole", "lacking": // of this server, as its feeder sees it: how many deletes; which files differed; that it was whole once; how many paths
		for feeder, f := range w.answers {
			replicas := slices.Clone(f.Mirror.Replicas)
			for i := range replicas {
				if replicas[i].Name != name {
					continue
				}
				switch event {
				case "held":
					_, err = fmt.Sscan(text, &replicas[i].Held)
				case "scrubbed":
					replicas[i].Scrub = &mirror.Scrub{Ended: now, Differed: strings.Fields(text)}
				case "whole":
					replicas[i].Counts = true
				case "lacking":
					_, err = fmt.Sscan(text, &replicas[i].Lacking)
				}
			}
			f.Mirror.Replicas = replicas
			w.answers[feeder] = f
		}
		return err
	default:
		return fmt.Errorf("unknown verb %q", event)
	}
	w.answers[name] = a
	return err
}

// cutID takes the id from what follows; - is none: of an older release.
func cutID(text string) (problem.ID, string) {
	id, rest, _ := strings.Cut(text, " ")
	return problem.ID(strings.TrimPrefix(id, "-")), rest
}

var errnos = map[syscall.Errno]string{
	syscall.EBUSY: "EBUSY", syscall.EPERM: "EPERM", syscall.ENOSPC: "ENOSPC", syscall.ENAMETOOLONG: "ENAMETOOLONG", syscall.EIO: "EIO",
	syscall.EACCES: "EACCES", syscall.EROFS: "EROFS", syscall.EDQUOT: "EDQUOT", syscall.E2BIG: "E2BIG", syscall.EUCLEAN: "EUCLEAN", syscall.EXDEV: "EXDEV",
}

// A scenario is a record, what is not well, and every finding, in order; after -> what to do:
//
//	record  fs=L1 pairs=W3/M2 spares=M3
//	silent  M2 - SSH to M2: no route to host
//	WRONG   silent-server M2 does not answer: ... -> wait ...
func TestFindings(t *testing.T) {
	seen := map[problem.ID]bool{}
	scenariotest.Play(t, "testdata/findings/*.txt", func(t *testing.T, file, text string) {
		for _, f := range play(t, file, text) {
			seen[f.ID] = true
		}
	})
	for id := range remedies {
		if !seen[id] {
			t.Errorf("no scenario has %s", id)
		}
	}
}

func play(t *testing.T, file, text string) []Finding {
	var w world
	var want []string
	for i, line := range strings.Split(text, "\n") {
		verb, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch verb {
		case "", "#":
		case "record":
			w = newWorld(recordtest.Parse(t, rest))
		case "WRONG", "note":
			want = append(want, verb+" "+rest)
		default:
			name, text, _ := strings.Cut(rest, " ")
			if err := w.happen(verb, name, text); err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		}
	}
	report := Compile(w.record, w.record.FS.Name, w.answers, now)
	var got []string
	for _, f := range report.Findings {
		mark := map[bool]string{true: "WRONG", false: "note"}[f.Grave]
		got = append(got, fmt.Sprintf("%s %s %s -> %s", mark, f.ID, f.Text, f.Do))
		if _, listed := remedies[f.ID]; !listed || f.Do == "" || strings.ContainsAny(f.Do, "{}") {
			t.Errorf("%s: %q is no remedy", f.ID, f.Do)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("found:\n%s", strings.Join(got, "\n"))
	}
	if grave := slices.ContainsFunc(want, func(l string) bool { return strings.HasPrefix(l, "WRONG") }); report.Grave() != grave {
		t.Errorf("grave: %t", report.Grave())
	}
	return report.Findings
}

var update = flag.Bool("update", false, "write the golden file anew")

// What people see, as a whole.
func TestPrint(t *testing.T) {
	w := newWorld(recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/trouble spares=M3 failed=X1"))
	for _, e := range [][3]string{
		{"silent", "M3", "- SSH to M3 at 192.168.1.5:7722: i/o timeout"},
		{"silent", "X1", "- connect to X1: no route to host"},
		{"replica", "M2", "filling"},
		{"free_mib", "W3", "3000"},
	} {
		if err := w.happen(e[0], e[1], e[2]); err != nil {
			t.Fatal(err)
		}
	}
	fs := w.answers["L1"]
	fs.Mirror.Replicas[0].Pending = 12
	fs.Mirror.Replicas[1].Scrub = &mirror.Scrub{Ended: now.Add(-time.Hour)}
	w.answers["W3"].Mirror.Replicas[0].Comparison = &mirror.Progress{Entries: 12000, Of: 50000, Sent: 300 << 20, Began: now.Add(-30 * time.Second), Left: 95}
	report := Compile(w.record, "M1", w.answers, now)
	var text strings.Builder
	if err := report.Print(&text, now); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/print.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("printed:\n%s\nwant:\n%s", &text, want)
	}
}

func TestPrintWhenAllIsWell(t *testing.T) {
	w := newWorld(recordtest.Parse(t, "fs=L1 pairs=W3/M2 spares=M3"))
	report := Compile(w.record, "L1", w.answers, now)
	if report.Findings == nil {
		t.Error("findings would be null in JSON, and not an empty list")
	}
	var text strings.Builder
	if err := report.Print(&text, now); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), "\nall is well\n") || report.Grave() || report.RoomBytes != 20<<30 {
		t.Errorf("room %d; printed:\n%s", report.RoomBytes, &text)
	}
}

// The fullest server bounds what may be written (paper 3.1); a failed one holds nothing of the share, so it does not.
func TestRoomIsHalfTheFreeSpaceOfTheFullestServer(t *testing.T) {
	w := newWorld(recordtest.Parse(t, "fs=L1 pairs=W3/M2 spares=M3 failed=X1"))
	for name, mib := range map[string]string{"M3": "1000", "X1": "10"} {
		if err := w.happen("free_mib", name, mib); err != nil {
			t.Fatal(err)
		}
	}
	if got := Compile(w.record, "L1", w.answers, now).RoomBytes; got != 500<<20 {
		t.Fatal(got)
	}
}
