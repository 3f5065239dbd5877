package promote

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/scenariotest"
)

// A scenario is a record, who is silent (absent: nobody knows who answers), who is said to be gone, and lines the answer holds:
//
//	record  fs=L1 pairs=W3/M2 spares=M3
//	silent  M2
//	gone    L1
//	says    W3: drs1 of pair 1 -> fs  L1 is gone, and of the DRS1s left W3 is the first
//	refused the file sharing server is gone and no replica lives
//
// `whole` compares the whole answer with the indented lines that follow.
func TestExplanations(t *testing.T) {
	scenariotest.Play(t, "testdata/explain/*.txt", play)
}

func play(t *testing.T, file, text string) {
	var r record.Record
	var alive map[string]bool
	var said string
	var outcome error
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		where := fmt.Sprintf("%s:%d", file, i+1)
		switch verb {
		case "", "#":
		case "record":
			r, alive = recordtest.Parse(t, rest), nil
		case "silent":
			alive = map[string]bool{}
			for _, m := range r.Members() {
				alive[m] = !slices.Contains(strings.Fields(rest), m)
			}
		case "gone":
			said, outcome = explained(t, r, strings.Fields(rest), alive)
		case "says":
			if outcome != nil || !slices.ContainsFunc(strings.Split(said, "\n"), func(l string) bool { return squeeze(l) == squeeze(rest) }) {
				t.Errorf("%s: refused: %v; said:\n%s", where, outcome, said)
			}
		case "whole":
			var want []string
			for _, l := range lines[i+1:] {
				want = append(want, strings.TrimPrefix(l, "\t"))
			}
			if said != strings.Join(want, "\n") {
				t.Errorf("%s: said:\n%s", where, said)
			}
			return
		case "refused":
			var refusal repair.Refusal
			if !errors.As(outcome, &refusal) || !strings.Contains(refusal.Reason, rest) {
				t.Errorf("%s: got %v; said:\n%s", where, outcome, said)
			}
		default:
			t.Fatalf("%s: unknown verb %q", where, verb)
		}
	}
}

func explained(t *testing.T, r record.Record, gone []string, alive map[string]bool) (string, error) {
	t.Helper()
	e, err := Explain(r, gone, alive, nil)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := e.Print(&text); err != nil {
		t.Fatal(err)
	}
	return text.String(), nil
}

func squeeze(line string) string { return strings.Join(strings.Fields(line), " ") }

// Whatever fails: the explanation names exactly the differences that the log of the change itself will name, each with a reason.
func TestExplanationsNameEveryChange(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2,W1/L3 spares=M3,W2")
		for range 6 {
			members := r.Members()
			rnd.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			gone := members[:1+rnd.IntN(3)%len(members)]
			next, err := repair.Repair(r, gone, nil)
			e, explainErr := Explain(r, gone, nil, nil)
			if (err == nil) != (explainErr == nil) {
				t.Fatalf("seed %d: repair says %v, explain %v", seed, err, explainErr)
			}
			if err != nil {
				break
			}
			var got []string
			for _, c := range e.Changes {
				if c.Why == "" {
					t.Fatalf("seed %d: no reason for %v", seed, c)
				}
				if c.Server == "" {
					place, pair, _ := strings.Cut(c.From, " of ")
					got = append(got, fmt.Sprintf("%s: %s in trouble", pair, place))
				} else {
					got = append(got, fmt.Sprintf("%s: %s -> %s", c.Server, c.From, c.To))
				}
			}
			want := Changes(r, next)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %s without %v:\n got %q\nwant %q", seed, recordtest.Describe(r), gone, got, want)
			}
			r = next
		}
	}
}
