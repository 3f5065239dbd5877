package mirror

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hafs/lib/testkit/scenariotest"
)

var causes = map[string]syscall.Errno{
	"EBUSY": syscall.EBUSY, "ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "ENAMETOOLONG": syscall.ENAMETOOLONG,
}

func TestSettled(t *testing.T) {
	scenariotest.Play(t, "testdata/settled/*.txt", func(t *testing.T, file, text string) {
		var copies []copyState
		patience, atLeast := time.Duration(0), 0
		for i, line := range strings.Split(text, "\n") {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			switch words[0] {
			case "patience":
				patience = seconds(t, words[1])
			case "atleast":
				atLeast, _ = strconv.Atoi(words[1])
			case "expect":
				wait, err := settled(copies, atLeast, patience)
				if got := answer(wait, err); got != strings.Join(words[1:], " ") {
					t.Errorf("%s:%d: %s, want %s", file, i+1, got, strings.Join(words[1:], " "))
				}
				copies = nil
			default:
				copies = append(copies, replicaState(t, words))
			}
		}
	})
}

func seconds(t *testing.T, text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

func replicaState(t *testing.T, words []string) copyState {
	c := copyState{name: words[0], stands: true}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "has":
			c.has = true
		case "missing":
			c.missing = true
		case "filling":
			c.stands = false
		case "quiet":
			c.quiet = seconds(t, value)
		case "lacks":
			c.has, c.lack = true, &Lack{Path: "p", Cause: value, Errno: causes[value]}
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return c
}

func answer(wait bool, err error) string {
	var refused Uncopied
	switch {
	case wait:
		return "wait"
	case err == nil:
		return "settled"
	case errors.Is(err, ErrNoCopies):
		return "uncopied"
	case errors.As(err, &refused):
		for name, errno := range causes {
			if errors.Is(err, errno) {
				return "refused " + name + " " + refused.Replica
			}
		}
	}
	return err.Error()
}

func TestBehind(t *testing.T) {
	scenariotest.Play(t, "testdata/behind/*.txt", func(t *testing.T, file, text string) {
		var all []keeping
		for i, line := range strings.Split(text, "\n") {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if words[0] == "expect" {
				got := ""
				if b := behind(all); b != nil {
					got = b.Name + " " + b.Path
				}
				if want := strings.Join(words[1:], " "); got != want {
					t.Errorf("%s:%d: %q, want %q", file, i+1, got, want)
				}
				all = nil
				continue
			}
			k := keeping{name: words[0]}
			for _, word := range words[1:] {
				path, shared := strings.CutPrefix(word, "share:")
				path, below := strings.CutSuffix(path, "/")
				l := Lack{Path: path, Side: OfReplica, Below: below}
				if shared {
					l.Side = OfShare
				}
				if k.complete = k.complete || word == "complete"; word != "complete" {
					k.lacks = append(k.lacks, l)
				}
			}
			all = append(all, k)
		}
	})
}
