package workload

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"hafs/lib/testkit/scenariotest"
)

// A scenario is a client's log, the moment of the failure, and what must be told of them, one per line; times in milliseconds:
//
//	op      0 10 write 1 good       start, end, kind, file, outcome
//	failure 25
//	holds   1 wrong:2               files that are there afterwards; the second with other bytes
//	expect  ops=3 failed=1 slow=0 outage=120 open=false
//	lost    before=2 after= older=0 different=1
func TestScenarios(t *testing.T) {
	scenariotest.Play(t, "testdata/*.txt", play)
}

var begin = time.Date(2025, 4, 1, 12, 0, 0, 0, time.UTC)

func at(ms string) time.Time {
	d, err := time.ParseDuration(ms + "ms")
	if err != nil {
		panic(err)
	}
	return begin.Add(d)
}

func play(t *testing.T, file, text string) {
	var log []Operation
	var failure time.Time
	held := map[string][]byte{}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		where := fmt.Sprintf("%s:%d", file, i+1)
		rest := words[1:]
		got := ""
		switch words[0] {
		case "op":
			log = append(log, Operation{at(rest[0]).UnixNano(), at(rest[1]).UnixNano(), Kind(rest[2]), rest[3], Outcome(rest[4]), ""})
			continue
		case "failure":
			failure = at(rest[0])
			continue
		case "holds":
			for _, name := range rest {
				name, wrong := strings.CutPrefix(name, "wrong:")
				held[name] = Content(name)
				if wrong {
					held[name] = []byte("other bytes")
				}
			}
			continue
		case "expect":
			e := Experienced(log, failure)
			got = fmt.Sprintf("ops=%d failed=%d slow=%d outage=%d open=%t", e.Operations, e.Failed, e.Slow, e.Outage.Milliseconds(), e.Open)
		case "lost":
			l, err := Lost(log, failure, func(name string) ([]byte, error) {
				if text, there := held[name]; there {
					return text, nil
				}
				return nil, fs.ErrNotExist
			})
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			got = fmt.Sprintf("before=%s after=%s older=%d different=%d", names(l.Before), names(l.After), l.Older, l.Different)
		default:
			t.Fatalf("%s: unknown verb %q", where, words[0])
		}
		if want := strings.Join(rest, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", where, got, want)
		}
	}
}

func names(all []Acknowledgement) string {
	var names []string
	for _, a := range all {
		names = append(names, a.File)
	}
	return strings.Join(names, ",")
}

func TestALogThatIsStillWritten(t *testing.T) {
	whole := `{"start":1,"end":2,"kind":"write","file":"000001","outcome":"good"}` + "\n"
	all, err := ReadLog(strings.NewReader(whole + whole[:30]))
	if err != nil || len(all) != 1 || all[0].File != "000001" {
		t.Fatal(all, err)
	}
	if _, err := ReadLog(strings.NewReader(whole + "damage\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Fatal(err)
	}
}

func TestNoTwoFilesHoldTheSame(t *testing.T) {
	if bytes.Equal(Content("000001"), Content("000002")) {
		t.Fatal("a mix-up would not be seen")
	}
}
