package link

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
)

func TestUnable(t *testing.T) {
	text, err := os.ReadFile("testdata/unable.txt")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var r record.Record
	var got string
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		switch verb {
		case "record":
			r = recordtest.Parse(t, rest)
		case "self":
			seconds, err := strconv.Atoi(words[3])
			if err != nil {
				t.Fatal(err)
			}
			b := Behind{Generation: r.Generation, Name: strings.Trim(words[2], "-"), Since: now.Add(-time.Duration(seconds) * time.Second)}
			if slices.Contains(words, "old") {
				b.Generation--
			}
			alive := map[string]bool{}
			for _, s := range r.Servers {
				alive[s.Name] = s.Name != words[0]
			}
			if at := slices.Index(words, "silent"); at >= 0 {
				for _, name := range words[at+1:] {
					alive[name] = false
				}
			}
			got = ""
			for _, report := range Unable(r, words[0], b, alive, now) {
				got += report.Server
			}
		case "expect":
			if got != strings.TrimSpace(rest) {
				t.Errorf("unable.txt:%d: %q, want %q", i+1, got, strings.TrimSpace(rest))
			}
		}
	}
}

func TestBare(t *testing.T) {
	text, err := os.ReadFile("testdata/bare.txt")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var r record.Record
	var got string
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "record":
			r = recordtest.Parse(t, rest)
		case "self":
			said, silent, _ := strings.Cut(rest, "silent")
			words := strings.Fields(said)
			since := map[string]time.Time{}
			for _, w := range words[2:] {
				name, text, _ := strings.Cut(w, "=")
				seconds, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				since[name] = now.Add(-time.Duration(seconds) * time.Second)
			}
			alive := map[string]bool{}
			for _, s := range r.Servers {
				alive[s.Name] = s.Name != words[0] && !slices.Contains(strings.Fields(silent), s.Name)
			}
			got = ""
			for _, report := range Bare(r, words[0], since, alive, now) {
				got += report.Server
			}
		case "expect":
			if got != strings.TrimSpace(rest) {
				t.Errorf("bare.txt:%d: %q, want %q", i+1, got, strings.TrimSpace(rest))
			}
		}
	}
}
