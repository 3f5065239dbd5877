package mirror

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/testkit/scenariotest"
)

// Scenarios: pairs, and the plan that follows from them; or markers, and the refusal. See testdata/plan.
func TestPlan(t *testing.T) {
	scenariotest.Play(t, "testdata/plan/*.txt", playPlans)
}

func playPlans(t *testing.T, file, text string) {
	var pairs []Pair
	var fidelity change.Fidelity
	incomplete := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		rest := strings.TrimSpace(strings.TrimPrefix(line, words[0]))
		switch words[0] {
		case "sshfs":
			fidelity = change.OverSSHFS
		case "incomplete":
			incomplete[words[1]] = true
		case "pair":
			pairs = append(pairs, parsePair(t, words[1:]))
		case "plan":
			var got []string
			for _, s := range Plan(pairs, fidelity, incomplete) {
				got = append(got, s.String())
			}
			if text := strings.Join(got, " | "); text != rest {
				t.Errorf("%s:%d:\n got %s\nwant %s", file, i+1, text, rest)
			}
			pairs, fidelity, incomplete = nil, change.Fidelity{}, map[string]bool{}
		case "marker":
			_, want, _ := strings.Cut(rest, "refused ")
			checkMarkers(t, strings.Fields(rest), want)
		default:
			t.Fatalf("%s:%d: unknown verb %q", file, i+1, words[0])
		}
	}
}

func checkMarkers(t *testing.T, words []string, want string) {
	t.Helper()
	bytes := func(word string) []byte {
		_, value, _ := strings.Cut(word, "=")
		if value == "-" {
			return nil
		}
		return []byte(value)
	}
	err := CheckMarkers(bytes(words[0]), bytes(words[1]), len(words) > 2 && words[2] == "unmarked")
	var refusal Refusal
	if want == "" && err != nil || want != "" && (!errors.As(err, &refusal) || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v: got %v, want %q", words, err, want)
	}
}

func parsePair(t *testing.T, words []string) Pair {
	t.Helper()
	p := Pair{Path: words[0]}
	for i, w := range words {
		switch w {
		case "rewrite":
			p.Rewrite = true
			words = words[:i]
		case "replica":
			p.Source = parseEntry(t, words[2:i])
		}
	}
	for i, w := range words {
		if w == "replica" {
			p.Replica = parseEntry(t, words[i+1:])
		}
	}
	return p
}

func parseEntry(t *testing.T, words []string) *change.Entry {
	t.Helper()
	if words[0] == "-" {
		return nil
	}
	e := &change.Entry{Kind: change.FileKind(words[0]), Mode: 0o644, Nlink: 1}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		number, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "size":
			e.Size = number
		case "t":
			e.Mtime = number * int64(time.Second)
		case "mode":
			mode, _ := strconv.ParseUint(value, 8, 32)
			e.Mode = uint32(mode)
		case "ino":
			e.Ino = uint64(number)
		case "nlink":
			e.Nlink = uint64(number)
		case "target":
			e.Target = value
		default:
			t.Fatalf("unknown attribute %q", w)
		}
	}
	return e
}
