package experiment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/scenariotest"
)

// A scenario is two records, who failed and when, what the journals say, and the story that follows, one per line; times in
// milliseconds:
//
//	before  fs=L1 pairs=W3/M2 spares=M3
//	after   fs=W3 pairs=M2/M3 spares= failed=L1
//	gone    L1
//	failure 1000
//	W3      3010 lost L1
//	W3      3050 chosen                      of the generation after, unless the line ends in another one
//	M2      3400 complete M3
//	expect  detected=2010 chosen=40 installed=60 established=200 complete=390 restored=390
//	kept    305                              the replicas that had been some before
//	missing M2 has not installed it
func TestStories(t *testing.T) {
	scenariotest.Play(t, "testdata/*.txt", playStory)
}

var begin = time.Date(2025, 4, 1, 12, 0, 0, 0, time.UTC)

func at(ms string) time.Time {
	d, err := time.ParseDuration(ms + "ms")
	if err != nil {
		panic(err)
	}
	return begin.Add(d)
}

func playStory(t *testing.T, file, text string) {
	var before, after record.Record
	var gone []string
	var failure time.Time
	var told []Milestone
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		where, rest := fmt.Sprintf("%s:%d", file, i+1), words[1:]
		s := Tell(before, after, gone, failure, told)
		switch words[0] {
		case "before":
			before, told = recordtest.Parse(t, strings.Join(rest, " ")), nil
		case "after":
			after = recordtest.Parse(t, strings.Join(rest, " "))
			after.Generation = before.Generation + 1
		case "gone":
			gone = rest
		case "failure":
			failure = at(rest[0])
		case "expect":
			ms := func(from, to time.Time) int64 { return to.Sub(from).Milliseconds() }
			got := fmt.Sprintf("detected=%d chosen=%d installed=%d established=%d complete=%d restored=%d", ms(s.Failure, s.Detected), ms(s.Detected, s.Chosen),
				ms(s.Detected, s.Installed), ms(s.Detected, s.Established), ms(s.Detected, s.Complete), ms(s.Detected, s.Restored()))
			if want := strings.Join(rest, " "); got != want || len(s.Missing) > 0 {
				t.Errorf("%s:\n got %s %q\nwant %s", where, got, s.Missing, want)
			}
		case "kept":
			if got := fmt.Sprint(s.Kept.Sub(s.Detected).Milliseconds()); got != rest[0] {
				t.Errorf("%s: kept after %s ms", where, got)
			}
		case "missing":
			if want := strings.Join(rest, " "); strings.Join(s.Missing, "; ") != want {
				t.Errorf("%s:\n got %s\nwant %s", where, strings.Join(s.Missing, "; "), want)
			}
		default:
			m := Milestone{Guest: words[0], Time: at(rest[0]), Event: rest[1], Generation: 8}
			for _, word := range rest[2:] {
				switch {
				case strings.HasPrefix(word, "generation="):
					fmt.Sscanf(word, "generation=%d", &m.Generation)
				case m.Event == "lost":
					m.Peer, m.Generation = word, 0
				default:
					m.Replica = word
				}
			}
			told = append(told, m)
		}
	}
}

func TestJournalsHoldOtherThingsToo(t *testing.T) {
	journal := `Started hafs-role.service - what this server is.
{"level":"warn","event":"lost","peer":"L1","examination_ms":2000,"time":"2025-04-01T12:00:02.345678901Z","message":"link lost"}
{"level":"info","step":"start hafs-watch.service","took_ms":3,"time":"2025-04-01T12:00:02.4Z"}
{"level":"info","event":"complete"
{"level":"info","replica":"M3","event":"complete","generation":8,"time":"2025-04-01T12:00:03Z"}
`
	all, err := ReadMilestones("W3", strings.NewReader(journal))
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	if m := all[0]; m.Guest != "W3" || m.Peer != "L1" || m.Time.Sub(begin) != 2345678901 {
		t.Fatal(m)
	}
	if m := all[1]; m.Replica != "M3" || m.Generation != 8 {
		t.Fatal(m)
	}
}
