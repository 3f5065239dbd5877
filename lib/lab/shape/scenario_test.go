package shape

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/scenariotest"
)

// A scenario is a record, a shape, and what must follow, one per line:
//
//	record  fs=L1 pairs=W3/M2,M1/L2 spares=M3 failed=
//	shape   fs=W3 1=M2/* failed=L1 trouble=none
//	fits                                            the record has the shape
//	differs fs is L1, not W3; failed is none, not L1
//	bad     "1=M2" is no pair                       the shape cannot be read
//	next    fs=... pairs=... spares=... failed=     the next planned change; becomes the record
//	done                                            no more changes
//	refused W3 must be taken back first
func TestScenarios(t *testing.T) {
	scenariotest.Play(t, "testdata/*.txt", play)
}

func play(t *testing.T, file, text string) {
	var r record.Record
	var s Shape
	var readErr error
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		where := fmt.Sprintf("%s:%d", file, i+1)
		got, want := "", rest
		switch verb {
		case "":
			continue
		case "record":
			r = recordtest.Parse(t, rest)
			continue
		case "shape":
			s, readErr = parseShape(rest)
			continue
		case "bad":
			if readErr == nil || !strings.Contains(readErr.Error(), rest) {
				t.Errorf("%s: got %v", where, readErr)
			}
			continue
		case "fits", "differs":
			got = strings.Join(s.Mismatches(r), "; ")
		case "next", "done", "refused":
			next, done, err := Next(r, s)
			switch {
			case err != nil:
				got, want = "refused "+err.Error(), verb+" "+rest
			case done:
				got, want = "done", verb
			default:
				got, want = "next "+recordtest.Describe(next), verb+" "+rest
				if next.Generation != r.Generation+1 {
					t.Errorf("%s: generation %d after %d", where, next.Generation, r.Generation)
				}
				r = next
			}
		default:
			t.Fatalf("%s: unknown verb %q", where, verb)
		}
		if readErr != nil {
			t.Fatalf("%s: %v", where, readErr)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", where, got, want)
		}
	}
}

func parseShape(text string) (Shape, error) {
	switch text {
	case "paper":
		return Paper(), nil
	case "without spares":
		return WithoutSpares(), nil
	}
	s := Shape{Pairs: map[int]record.Pair{}}
	var err error
	for _, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "fs":
			s.FS = value
		case "failed":
			s.Failed, err = ParseNames(strings.Split(value, ","))
		case "spares":
			s.Spares, err = ParseNames(strings.Split(value, ","))
		case "trouble":
			s.Trouble, err = ParseNames(strings.Split(value, ","))
		default:
			var n int
			var p record.Pair
			n, p, err = ParsePair(word)
			s.Pairs[n] = p
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// Whatever failed and was taken back, a few planned changes lead to the shape wanted, and none makes a server FS that was no DRS1.
func TestEveryHistoryLeadsBack(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2,W1/L3 spares=M3,W2")
		for range rnd.IntN(12) {
			members := r.Members()
			if next, err := repair.Repair(r, []string{members[rnd.IntN(len(members))]}, nil); err == nil {
				r = next
			}
		}
		for _, name := range r.WithStatus(record.Failed) {
			next, err := repair.Admit(r, name)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			r = next
		}
		wanted := Paper()
		if seed%2 == 0 {
			wanted = WithoutSpares()
		}
		for changes := 0; ; changes++ {
			next, done, err := Next(r, wanted)
			if err != nil || changes > 2 {
				t.Fatalf("seed %d: %d changes, at %s: %v", seed, changes, recordtest.Describe(r), err)
			}
			if done {
				break
			}
			if next.FS.Name != r.FS.Name && r.Role(next.FS.Name) != record.RoleDRS1 {
				t.Fatalf("seed %d: %s becomes FS from %s", seed, next.FS.Name, recordtest.Describe(r))
			}
			r = next
		}
		if len(wanted.Mismatches(r)) > 0 {
			t.Fatalf("seed %d: ended at %s", seed, recordtest.Describe(r))
		}
	}
}
