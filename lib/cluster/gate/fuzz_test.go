package gate

import (
	"os"
	"strings"
	"testing"
)

// FuzzOrder reads whatever a peer may send as a command line. What is allowed names no path but the share (and, to a sender, that of copies it does not make), and no
// more than one session.
func FuzzOrder(f *testing.F) {
	text, err := os.ReadFile("testdata/orders.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if question, _, found := strings.Cut(line, "=>"); found && !strings.HasPrefix(line, "#") {
			_, command, _ := strings.Cut(strings.TrimSpace(question), ": ")
			f.Add(command)
		}
	}
	servers := []string{"L1", "W3", "M2", "M3", "X1"}
	f.Fuzz(func(t *testing.T, line string) {
		o, err := Parse(line)
		if err != nil {
			return
		}
		for _, from := range servers {
			for _, self := range servers {
				if Allow(cluster(), self, from, Standing{Confirmed: true, Leased: true}, o) != nil || o.Kind == Link {
					continue
				}
				if o.Generation != 7 {
					t.Errorf("%q: generation %d", line, o.Generation)
				}
				if o.Kind == Replica && Feeder(cluster(), self) != from || o.Kind == Share && (self != "L1" || o.Stream || len(o.Rsync) > 0) {
					t.Errorf("%q: %s at %s", line, from, self)
				}
				checkRsync(t, line, o)
			}
		}
	})
}

func checkRsync(t *testing.T, line string, o Order) {
	if len(o.Rsync) == 0 {
		return
	}
	words := o.Rsync
	if last := words[len(words)-1]; last != "/nfs" && last != "/nfs/" || words[len(words)-2] != "." || words[0] != "--server" {
		t.Errorf("%q names %s", line, last)
	}
	for i, word := range words[1 : len(words)-1] {
		copies := o.Kind == Pull && (strings.HasPrefix(word, "--backup-dir=") || i > 0 && words[i] == "--backup-dir")
		if strings.Contains(word, "/") && !copies || !copies && word != "." && !strings.HasPrefix(word, "-") {
			t.Errorf("%q: %s", line, word)
		}
	}
}
