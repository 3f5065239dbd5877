package guests

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A scenario file lists cuts, then the rules each hook of the bridge has to have, in this form:
//
//	cut      M1 M2 one-way
//	heal     M1
//	forward  iifname "vb-M1" oifname "vb-M2" drop
//
// A hook that is not named has no rules.
func TestRules(t *testing.T) {
	files, _ := filepath.Glob("testdata/cuts/*.txt")
	if len(files) == 0 {
		t.Fatal("no scenarios")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			cuts, want := readCuts(t, file)
			got := rulesByHook(t, Rules(cuts))
			for _, hook := range []string{"forward", "input", "output"} {
				if !slices.Equal(got[hook], want[hook]) {
					t.Errorf("%s: got %q, want %q", hook, got[hook], want[hook])
				}
			}
		})
	}
}

func readCuts(t *testing.T, path string) ([]Cut, map[string][]string) {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var cuts []Cut
	want := map[string][]string{}
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		switch {
		case len(fields) == 0 || fields[0] == "#":
		case fields[0] == "cut":
			c := Cut{From: fields[1], OneWay: fields[len(fields)-1] == "one-way"}
			if len(fields) > 2 {
				c.To = fields[2]
			}
			cuts = AddCut(cuts, c)
		case fields[0] == "heal":
			cuts = HealCuts(cuts, fields[1:]...)
		default:
			want[fields[0]] = append(want[fields[0]], strings.Join(fields[1:], " "))
		}
	}
	return cuts, want
}

func rulesByHook(t *testing.T, text string) map[string][]string {
	before, after, found := strings.Cut(text, "delete table bridge hafs_lab\n")
	if !found || before != "table bridge hafs_lab\n" {
		t.Errorf("the rules do not replace those of before:\n%s", text)
	}
	rules, hook := map[string][]string{}, ""
	for line := range strings.Lines(after) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "chain "):
			hook = strings.Fields(line)[1]
		case strings.HasSuffix(line, "drop"):
			rules[hook] = append(rules[hook], line)
		}
	}
	return rules
}
