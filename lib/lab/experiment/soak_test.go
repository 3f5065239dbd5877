package experiment

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hafs/lib/lab/workload"
)

func TestALogThatGrowsIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log := &tail{path: path}
	expect := func(want int) {
		t.Helper()
		if ops, err := log.read(); err != nil || len(ops) != want {
			t.Fatalf("read %d operations, %v; want %d", len(ops), err, want)
		}
	}
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	expect(0)
	add(`{"start":1,"end":2,"outcome":"good"}` + "\n" + `{"start":3,"en`)
	expect(1)
	expect(0)
	add(`d":4,"outcome":"good"}` + "\n")
	expect(1)
	expect(0)
}

func TestVerdict(t *testing.T) {
	good := []workload.Operation{{Start: 0, End: int64(time.Second), Outcome: workload.Good}}
	begun := time.Unix(100, 0)
	lost := Milestone{Guest: "L1", Time: begun.Add(time.Second), Event: "lost", Peer: "W3"}
	for _, c := range []struct {
		name   string
		do     func(*Soaked)
		passes bool
	}{
		{"nobody did anything", func(s *Soaked) {}, false},
		{"all was good", func(s *Soaked) { s.add("W2", good) }, true},
		{"an operation failed", func(s *Soaked) { s.add("W2", append(good, workload.Operation{Outcome: workload.Missing})) }, false},
		{"the last operation was cut short", func(s *Soaked) {
			s.add("W2", append(good, workload.Operation{End: int64(2 * time.Second), Outcome: workload.Hanging}))
		}, true},
		{"the last operation hung", func(s *Soaked) {
			s.add("W2", append(good, workload.Operation{End: int64(20 * time.Second), Outcome: workload.Hanging}))
		}, false},
		{"a server was called lost", func(s *Soaked) { s.add("W2", good); s.see([]Milestone{lost}, begun) }, false},
		{"before the start", func(s *Soaked) { s.add("W2", good); s.see([]Milestone{lost}, begun.Add(time.Minute)) }, true},
		{"a lease was lost", func(s *Soaked) {
			s.add("W2", good)
			s.see([]Milestone{{Guest: "L1", Time: begun, Event: "lease_lost"}}, begun)
		}, false},
		{"a generation was chosen", func(s *Soaked) { s.add("W2", good); s.Generations = 1 }, false},
	} {
		var s Soaked
		c.do(&s)
		if err := s.Verdict(); (err == nil) != c.passes {
			t.Errorf("%s: verdict %v", c.name, err)
		}
	}
	var s Soaked
	s.see([]Milestone{lost}, begun)
	s.see([]Milestone{lost}, begun)
	if s.Lost != 1 {
		t.Errorf("the same line of a journal counts %d times", s.Lost)
	}
}
