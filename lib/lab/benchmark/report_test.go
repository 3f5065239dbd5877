package benchmark

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hafs/lib/lab/errand"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, 0.5, 7}, {[]float64{7}, 0.99, 7}, {[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 1, 3, 2}, 0.5, 2},
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
	} {
		if got := Quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %g of %v is %g, not %g", c.q, c.values, got, c.want)
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
	if hundred[0] != 100 {
		t.Error("the values were put in another order")
	}
}

func example() *Report {
	r := &Report{Started: time.Date(2025, 4, 1, 12, 0, 0, 0, time.UTC), CPUs: 2,
		Subjects: []SubjectReport{{"rsync", []string{"rsync -a", "ssh"}}, {"hafs-stream", []string{"one pair"}}},
		Failures: []Failure{{"hafs-stream", "large", "new: not within 3m0s"}}, Complaints: []string{"L1: {}"}}
	slow, quick := make([]float64, 60), make([]float64, 60)
	for i := range slow {
		slow[i], quick[i] = 400+float64(i), 10+float64(i)/10
	}
	r.add("rsync", "latency", "first replica", "ms", "0.10", slow)
	r.add("hafs-stream", "latency", "first replica", "ms", "0.20", quick)
	r.add("hafs-stream", "latency", "second replica", "ms", "0.20", quick[:2])
	r.add("hafs-stream", "idle", "source, memory", "MiB", "0.20", []float64{12.5})
	r.add("hafs-stream", "idle", "source, processor", "% of one", "0.20", []float64{0})
	r.add("rsync", "files", "new", "s", "0.20", []float64{2})
	r.add("rsync", "files", "new", "s", "0.20", []float64{3, 1})
	return r
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := example().Print(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "table.golden")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the table is\n%s", b.String())
	}
}

func TestReportIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	r := example()
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := LoadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, again) {
		t.Errorf("wrote %+v, read %+v", r, again)
	}
	if m := again.find("rsync", "files", "new"); m == nil || m.P50 != 2 || m.Max != 3 || len(m.Values) != 3 {
		t.Errorf("three rounds became %+v", m)
	}
}

// Of two subjects in one work, and only what both have.
func TestDifferences(t *testing.T) {
	r := &Report{}
	r.add("many", "scale", "outage", "s", "", []float64{3, 1, 2})
	r.add("many", "scale", "bytes of a file", "bytes", "", []float64{80})
	r.add("few", "scale", "outage", "s", "", []float64{1.5})
	r.add("few", "scale", "memory", "MiB", "", []float64{7})
	r.add("many", "kills", "outage", "s", "", []float64{9})
	r.add("few", "kills", "outage", "s", "", []float64{4})
	got := r.differences("scale", "many", "few")
	if len(got) != 1 || got[0].What != "outage" || got[0].Unit != "s" || got[0].P50 != 0.5 {
		t.Errorf("%+v", got)
	}
	if m := r.find("many", "scale", "outage"); m.P50 != 2 {
		t.Errorf("the series itself became %+v", m)
	}
}

func TestTheClientIsServedSomeTimeAfterTheDetection(t *testing.T) {
	for _, c := range []struct{ outage, detected, want float64 }{{2.5, 1, 1.5}, {0.5, 1, 0}} {
		if got := (experience{outage: c.outage, repair: repair{detected: c.detected}}).served(); got != c.want {
			t.Errorf("%+v: %g s", c, got)
		}
	}
}

func TestPictures(t *testing.T) {
	pictures := example().Pictures()
	for _, name := range []string{"latency", "idle-MiB", "files"} {
		if pictures[name] == "" {
			t.Errorf("there is no picture %s", name)
		}
	}
	if pictures["idle-of-one"] != "" {
		t.Error("a logarithmic picture of zeros was drawn")
	}
	for name, svg := range pictures {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestLatencies(t *testing.T) {
	done := []errand.Done{{File: "a", Begun: 1e6}, {File: "b", Begun: 2e6}, {File: "c", Begun: 3e6}}
	took, missing := latencies(done, []errand.Seen{{File: "c", At: 8e6}, {File: "a", At: 2e6}})
	if !reflect.DeepEqual(took, []float64{1, 5}) || missing != 1 {
		t.Errorf("took %v, %d missing", took, missing)
	}
}

func TestProcessorTime(t *testing.T) {
	stat := "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 5 6 7 8 20 0 1 0 1000 0 0"
	name, took, err := processorTime(stat)
	if name != "a (b) c" || took != 260*time.Millisecond || err != nil {
		t.Errorf("%q, %s, %v", name, took, err)
	}
	if _, _, err := processorTime("42 (x) S 1"); err == nil {
		t.Error("half a line is read")
	}
}

func TestUsageOfNewAndEndedProcesses(t *testing.T) {
	before := usage{processor: map[int]time.Duration{1: time.Second, 2: time.Second}}
	after := usage{processor: map[int]time.Duration{1: 3 * time.Second, 3: 500 * time.Millisecond}}
	if got := after.since(before); got != 2500*time.Millisecond {
		t.Errorf("took %s", got)
	}
}

func TestMemoryOfAllPrograms(t *testing.T) {
	if got := (usage{pss: map[string]int64{"hafs-mirror": 3 << 20, "hafs-watch": 1 << 20}}).memory(); mebibytes(got) != 4 {
		t.Errorf("%d bytes", got)
	}
}

func TestProportionalMemory(t *testing.T) {
	if got := pss("Rss:  100 kB\nPss:          12 kB\nPss_Dirty:  8 kB\n"); got != 12<<10 {
		t.Errorf("%d bytes", got)
	}
}

func TestComplaints(t *testing.T) {
	for line, want := range map[string]bool{
		`{"level":"error","message":"no room"}`:      true,
		`{"level":"warn","message":"link lost"}`:     false,
		`panic: runtime error: index out of range`:   true,
		`Started hafs-mirror.service`:                false,
		`{"level":"info","message":"error, not so"}`: false,
	} {
		if isComplaint(line) != want {
			t.Errorf("%s: %v", line, !want)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{Rounds: 1, Files: 1, ShareFiles: fewFiles + 1, Subjects: []string{"rsync", "hafs-paper"}, Work: []string{"latency"}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.Subjects = []string{"nfs"} }, func(o *Options) { o.Work = []string{"nothing"} },
		func(o *Options) { o.Rounds = 0 }, func(o *Options) { o.Kills = -1 }, func(o *Options) { o.Files = 0 },
		func(o *Options) { o.ShareFiles = fewFiles },
	} {
		bad := good
		change(&bad)
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// The baseline is there, every work is for somebody, and no name is there twice.
func TestSubjectsAndWorks(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Subjects() {
		if seen[s.Name()] {
			t.Errorf("two subjects are called %s", s.Name())
		}
		seen[s.Name()] = true
		if len(s.Replicas()) != len(replicaNames) || len(s.Settings()) == 0 {
			t.Errorf("%s: replicas %v, settings %v", s.Name(), s.Replicas(), s.Settings())
		}
	}
	if !seen[Baseline] {
		t.Error("the baseline is no subject")
	}
	for _, w := range works {
		if !w.isChosen([]string{"latency", w.name}) || w.isChosen([]string{"nothing"}) || w.isChosen(nil) == w.asked {
			t.Errorf("%s is not done exactly when it is asked for", w.name)
		}
		for _, name := range slices.Concat(w.only, w.slow) {
			if !seen[name] {
				t.Errorf("%s is for %s, which is no subject", w.name, name)
			}
		}
		for _, name := range w.slow {
			if w.isFor(name, false) || !w.isFor(name, true) {
				t.Errorf("%s takes long over %s, and is not done exactly when it is asked for", name, w.name)
			}
		}
	}
}
