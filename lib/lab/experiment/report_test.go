package experiment

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hafs/lib/lab/workload"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestSummaries(t *testing.T) {
	for _, c := range []struct {
		values   []float64
		mean, cv float64
	}{
		{nil, 0, 0},
		{[]float64{1.5}, 1.5, 0},
		{[]float64{2, 4, 4, 4, 5, 5, 7, 9}, 5, 0.4276}, // sample standard deviation 2.138
		{[]float64{0, 0}, 0, 0},
	} {
		s := Summarize(c.values)
		if s.Mean != c.mean || math.Abs(s.CV-c.cv) > 1e-4 || s.Runs != len(c.values) {
			t.Errorf("%v: %+v", c.values, s)
		}
	}
}

func sample() Report {
	run := func(failed, role string, round int, recovered, outage float64, lost int) Run {
		return Run{Failed: failed, Role: role, How: "kill", Round: round, FailedAt: begin, Detected: 2.05, Recovered: recovered,
			ClientOutage: outage, LostFiles: lost, Readmitted: 4.2, Generation: 8}
	}
	return Report{
		Settings: Settings{ExaminationTimeS: 2, Rounds: 2, ShareFiles: 640, ShareBytes: 640 << 14, Client: "W2", ClientIntervalMS: 20},
		Runs: []Run{
			run("M2", "drs2", 1, 0.2, 0.03, 0), run("W3", "drs1", 1, 0.3, 0.03, 0), run("L1", "fs", 1, 0.8, 2.4, 1),
			run("M2", "drs2", 2, 0.3, 0.05, 0), run("W3", "drs1", 2, 0.3, 0.03, 0), run("L1", "fs", 2, 1.0, 2.6, 2),
		},
		Returns: []Return{{Failed: "M2", Role: "drs2", BackAs: "drs2", Round: 1, Returned: 4.5, StartTook: 3.1}},
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := sample().Print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.golden", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is otherwise:\n%s", path, got)
	}
}

// Others read these names.
func TestTheNamesOfTheReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "report.json")
	if err := sample().Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Settings map[string]any   `json:"settings"`
		Runs     []map[string]any `json:"runs"`
	}
	if err := json.Unmarshal(text, &report); err != nil || len(report.Settings) == 0 || len(report.Runs) != 6 {
		t.Fatal(err, string(text))
	}
	for _, name := range []string{"failed", "role", "detected_s", "recovered_s", "client_outage_s", "client_failed_ops", "lost_files", "generation"} {
		if _, found := report.Runs[0][name]; !found {
			t.Errorf("%s is not in a run", name)
		}
	}
	back, err := LoadReport(path)
	if err != nil || len(back.Runs) != 6 || back.Runs[5].LostFiles != 2 {
		t.Fatal(back, err)
	}
}

func picture() Picture {
	op := func(start, end string, o workload.Outcome) workload.Operation {
		return workload.Operation{Start: at(start).UnixNano(), End: at(end).UnixNano(), Kind: workload.Write, File: "000001", Outcome: o, Error: "a <b> & c"}
	}
	return Picture{
		Title: "Failover of L1 & others", Subtitle: "a client", Failure: begin, From: -time.Second, To: 4 * time.Second,
		Operations: []workload.Operation{
			op("-2000", "-1999", workload.Good), // before what is shown
			op("-500", "-499", workload.Good), op("-20", "-18", workload.Good), op("0", "2300", workload.Failed),
			op("2300", "2450", workload.Good), op("2500", "2502", workload.Good),
		},
		Marks:  []Mark{{begin, "power off", "#000"}, {at("2050"), "detected", "#111"}, {at("2090"), "new generation", "#222"}, {at("2500"), "restored", "#333"}},
		Outage: [2]time.Time{at("-18"), at("2450")},
	}
}

// The picture is well-formed and shows each operation in its kind, each mark with its label, and the outage.
func TestPicture(t *testing.T) {
	var b strings.Builder
	if err := picture().SVG(&b); err != nil {
		t.Fatal(err)
	}
	drawn := map[string]int{}
	var words []string
	in := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := in.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			for _, a := range x.Attr {
				if a.Name.Local == "class" {
					drawn[a.Value]++
				}
			}
		case xml.CharData:
			words = append(words, strings.TrimSpace(string(x)))
		}
	}
	if drawn["good"] != 3 || drawn["slow"] != 1 || drawn["failed"] != 1 {
		t.Errorf("drawn: %v", drawn)
	}
	all := strings.Join(words, "\n")
	for _, want := range []string{"Failover of L1 & others", "power off", "detected +2.05 s", "new generation +2.09 s", "restored +2.50 s", "no good operation for 2.47 s", "seconds from the failure", "failed (1)", "100 ms"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not to be read", want)
		}
	}
}

// Time runs to the right, slowness upwards, and nothing leaves the plot.
func TestScales(t *testing.T) {
	p := picture()
	if p.x(at("-1000")) != left || p.x(at("4000")) != left+plotWidth || p.x(at("0")) >= p.x(at("1")) {
		t.Error("x")
	}
	if y(time.Second) >= y(time.Millisecond) || y(time.Hour) != top || y(time.Nanosecond) != top+plotHeight || y(10*time.Second) != top {
		t.Error("y")
	}
}
