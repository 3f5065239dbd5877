package repair

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/scenariotest"
)

// A scenario is a record, one thing that happens, and the record or refusal that follows, one per line:
//
//	record  fs=L1 pairs=W3/M2,M1/L2 spares=M3 failed=
//	lead    W3=12 M1=filling W1=none M2=9@6    (@: in an earlier generation than 7; who is not named does not answer; without the line replicas are not numbered)
//	gone    L1 W3
//	expect  fs=M1 pairs=M2/M3,L2/trouble spares= failed=L1,W3
//	refused the file sharing server is gone and no replica lives
//
// Events are gone, back and move. Everything after # is a comment.
func TestScenarios(t *testing.T) {
	scenariotest.Play(t, "testdata/*.txt", play)
}

func play(t *testing.T, file, text string) {
	var current, next record.Record
	var outcome error
	positions := Unnumbered
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		where := fmt.Sprintf("%s:%d", file, i+1)
		switch verb {
		case "":
		case "record":
			current, positions = recordtest.Parse(t, rest), Unnumbered
		case "lead":
			positions = parsePositions(t, words)
		case "gone":
			next, outcome = Repair(current, words, positions)
		case "back":
			next, outcome = Admit(current, words[0])
		case "move":
			next, outcome = Switchover(current, words[0])
		case "expect":
			if outcome != nil {
				t.Fatalf("%s: refused: %v", where, outcome)
			}
			if got, want := recordtest.Describe(next), strings.Join(words, " "); got != want {
				t.Fatalf("%s:\n got %s\nwant %s", where, got, want)
			}
			if next.Generation != current.Generation+1 {
				t.Fatalf("%s: generation %d after %d", where, next.Generation, current.Generation)
			}
			current = next
		case "refused", "nothing":
			var refusal Refusal
			var nothing Nothing
			if verb == "refused" && !errors.As(outcome, &refusal) || verb == "nothing" && !errors.As(outcome, &nothing) {
				t.Fatalf("%s: got %v and %v", where, recordtest.Describe(next), outcome)
			}
			if !strings.Contains(outcome.Error(), strings.TrimSpace(rest)) {
				t.Fatalf("%s: the reason is %q", where, outcome)
			}
		default:
			t.Fatalf("%s: unknown verb %q", where, verb)
		}
	}
}

func parsePositions(t *testing.T, words []string) Positions {
	positions := Positions{}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if value == "none" {
			positions[name] = None
			continue
		}
		p := Position{Complete: value != "filling", Generation: 7}
		if p.Complete {
			number, generation, _ := strings.Cut(value, "@")
			if _, err := fmt.Sscan(number+" "+cmp.Or(generation, "7"), &p.Number, &p.Generation); err != nil {
				t.Fatal(err)
			}
		}
		positions[name] = p
	}
	return positions
}

// Whatever fails, in whatever order, and whoever comes back: the record is whole, nobody is invented or forgotten, nobody who
// is gone holds a place, no spare idles beside a place in trouble, and one failure after the other never ends better than a refusal allows.
func TestAnyHistoryLeavesAWholeRecord(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2,W1/L3 spares=M3,W2")
		for step := range 30 {
			var next record.Record
			var err error
			before := recordtest.Describe(r)
			var gone []string
			if failed := r.WithStatus(record.Failed); len(failed) > 0 && rnd.IntN(2) == 0 {
				next, err = Admit(r, failed[rnd.IntN(len(failed))])
			} else {
				members := r.Members()
				rnd.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
				gone = members[:1+rnd.IntN(3)%len(members)]
				next, err = Repair(r, gone, nil)
			}
			if before != recordtest.Describe(r) {
				t.Fatalf("seed %d step %d: the old record was changed: %s", seed, step, before)
			}
			if err != nil {
				var refusal Refusal
				if !errors.As(err, &refusal) {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
				continue
			}
			for _, name := range gone {
				if next.Role(name) != record.RoleFailed || next.FS.Name == name || next.PairOf(name) >= 0 {
					t.Fatalf("seed %d step %d: %s is gone but %s", seed, step, name, recordtest.Describe(next))
				}
			}
			if len(next.WithStatus(record.Spare)) > 0 && slices.ContainsFunc(next.Pairs, func(p record.Pair) bool { return p.DRS1 == record.Trouble || p.DRS2 == record.Trouble }) {
				t.Fatalf("seed %d step %d: a spare idles: %s", seed, step, recordtest.Describe(next))
			}
			if len(next.Servers) != 9 {
				t.Fatalf("seed %d step %d: %d servers", seed, step, len(next.Servers))
			}
			r = next
		}
	}
}
