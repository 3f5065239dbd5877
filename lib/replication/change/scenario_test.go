package change

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scenario calls play for each line of a file that is neither empty nor a comment.
func scenario(t *testing.T, file string, play func(t *testing.T, line string)) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t.Run(strconv.Itoa(i+1), func(t *testing.T) { play(t, line) })
	}
}

func TestLines(t *testing.T) {
	scenario(t, "testdata/lines.txt", func(t *testing.T, line string) {
		verb, rest, _ := strings.Cut(line, " ")
		text, want, found := strings.Cut(rest, " => ")
		if !found {
			t.Fatalf("no => in %q", line)
		}
		text = strings.ReplaceAll(text, `a\x00b`, "a\x00b")
		c, err := Parse(text)
		switch verb {
		case "refuse":
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v and %v, want a refusal with %q", text, c, err, want)
			}
		case "accept":
			path, unquoteErr := strconv.Unquote(want)
			if unquoteErr != nil {
				t.Fatal(unquoteErr)
			}
			if err != nil || c.Path != path {
				t.Errorf("%q: got %q and %v, want %q", text, c.Path, err, path)
			}
			if c.String() != text {
				t.Errorf("%q is written back as %q", text, c)
			}
		default:
			t.Fatalf("unknown verb %q", verb)
		}
	})
}

func TestLimitsOfNames(t *testing.T) {
	name := strings.Repeat("n", maxNameBytes)
	for _, c := range []struct {
		path string
		good bool
	}{
		{name, true},
		{name + "n", false},
		{strings.Repeat("n/", MaxPathBytes/2) + "n", true},
		{strings.Repeat("n/", MaxPathBytes/2) + "nn", false},
	} {
		if err := CheckPath(c.path); (err == nil) != c.good {
			t.Errorf("%d bytes: %v", len(c.path), err)
		}
	}
}

func TestCompare(t *testing.T) {
	scenario(t, "testdata/compare.txt", func(t *testing.T, line string) {
		words := strings.Fields(line)
		var f Fidelity
		if words[len(words)-1] == "sshfs" {
			f = OverSSHFS
			words = words[:len(words)-1]
		}
		want := Kind(words[len(words)-1])
		if want == "same" {
			want = Same
		}
		words = words[1 : len(words)-1]
		for i, w := range words {
			if w == "replica" {
				if got := Compare(parseEntry(t, words[:i]), parseEntry(t, words[i+1:]), f); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		}
	})
}

func parseEntry(t *testing.T, words []string) *Entry {
	t.Helper()
	if words[0] == "-" {
		return nil
	}
	e := &Entry{Kind: FileKind(words[0]), Mode: 0o644}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		number, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "size":
			e.Size = number
		case "t":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			e.Mtime = int64(seconds * float64(time.Second))
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 32)
			if err != nil {
				t.Fatal(err)
			}
			e.Mode = uint32(mode)
		case "uid":
			e.UID = uint32(number)
		case "gid":
			e.GID = uint32(number)
		case "hash":
			e.Hash = uint64(number)
		case "target":
			e.Target = value
		case "user.x": // digest and unknown are what is known of them
			switch value {
			case "digest":
				e.Xattrs = XattrsOf(map[string]string{"user.x": strings.Repeat("x", 100)}).Digest()
			case "long":
				e.Xattrs = XattrsOf(map[string]string{"user.x": strings.Repeat("x", 100)})
			case "unknown":
				e.Xattrs = UnknownXattrs
			default:
				e.Xattrs = XattrsOf(map[string]string{"user.x": value})
			}
		default:
			t.Fatalf("unknown attribute %q", w)
		}
	}
	return e
}

func TestSet(t *testing.T) {
	var s *Set
	scenario(t, "testdata/set.txt", func(t *testing.T, line string) {
		words := strings.Fields(line)
		number, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		_, want, _ := strings.Cut(line, "=>")
		want = strings.TrimSpace(want)
		switch words[0] {
		case "limit":
			s = &Set{Limit: number}
		case "add":
			if collapsed := s.Add(uint64(number), Change{Kind: Kind(words[2]), Path: words[3]}); collapsed != (want == "collapsed") {
				t.Errorf("collapsed: %v", collapsed)
			}
		case "take":
			changes, upTo := s.Take(number)
			got := []string{}
			for _, c := range changes {
				got = append(got, c.String())
			}
			if text := strings.TrimSpace(fmt.Sprintf("%d %s", upTo, strings.Join(got, ", "))); text != want {
				t.Errorf("got %q, want %q", text, want)
			}
		default:
			t.Fatalf("unknown verb %q", words[0])
		}
	})
}
