package status

import (
	"os"
	"regexp"
	"testing"

	"hafs/lib/host/problem"
)

var row = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| [^|]+ \\| ([^|]+) \\|$")

// The page has each finding once, with the remedy that hafs-status names.
func TestThePageListsEveryFinding(t *testing.T) {
	text, err := os.ReadFile("../../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[problem.ID]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		id := problem.ID(m[1])
		if do, known := remedies[id]; !known || listed[id] || m[2] != do {
			t.Errorf("the page says of %s: %s\nthe program: %s", id, m[2], do)
		}
		listed[id] = true
	}
	for id := range remedies {
		if !listed[id] {
			t.Errorf("the page does not have %s", id)
		}
	}
}
