package change

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"look a", "rescan .", `create a\nb`, `delete \xff`, "barrier X", "look ../x", `look \x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := Parse(line)
		if err == nil && c.String() != line {
			t.Fatalf("%q is read as %v and written as %q", line, c, c)
		}
	})
}

func FuzzWrite(f *testing.F) {
	for _, seed := range []string{"a", "a\nb", "\xff", `\`, "ü", "a/b", ".", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if CheckPath(path) != nil {
			return
		}
		c := Change{Kind: Look, Path: path}
		for _, b := range []byte(c.String()) {
			if b == '\n' || b == 0 {
				t.Fatalf("%q is written as %q", path, c)
			}
		}
		if back, err := Parse(c.String()); err != nil || back != c {
			t.Fatalf("%q is written as %q and read as %v, %v", path, c, back, err)
		}
	})
}

// What is accepted as attributes is what they would be written as.
func FuzzXattrs(f *testing.F) {
	long := XattrsOf(map[string]string{"user.a": strings.Repeat("v", 100), capability: "\x01\x00", accessACL: "\x02"})
	for _, seed := range []Xattrs{"", long, long.Digest(), UnknownXattrs, "\x06user.a\x00\x00\x00\x00", "\x06user.a\xff\xff\xff\xff", "\x05user.\x00\x00\x00\x00", "\x00\x00"} {
		f.Add(string(seed))
	}
	f.Fuzz(func(t *testing.T, text string) {
		x := Xattrs(text)
		if x.Check() != nil {
			return
		}
		if x.Known() && XattrsOf(x.Values()) != x {
			t.Fatalf("%q is read as %v", x, x.Values())
		}
		if d := x.Digest(); d.Check() != nil || !d.Same(x) || !x.Same(d) || d.Digest() != d {
			t.Fatalf("%q has the digest %q", x, d)
		}
	})
}

// Whatever is reported and taken in whatever pieces: every path is taken, or a rescan around it, after its last report; every barrier is
// taken once, after all that was reported before it; and no number is given out while something up to it waits.
func TestSetAgainstLog(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		s := Set{Limit: []int{0, 3, 8}[rnd.IntN(3)]}
		type report struct {
			number uint64
			change Change
		}
		var open []report // reported, and not yet seen in a later take
		number := uint64(0)
		paths := []string{"a", "a/b", "a/b/c", "a/d", "b", "b/c", "d", "."}
		for range 60 {
			if rnd.IntN(3) > 0 {
				number++
				c := Change{Kind: Look, Path: paths[rnd.IntN(len(paths))]}
				switch rnd.IntN(8) {
				case 0:
					c.Kind = Rescan
				case 1:
					c = Change{Kind: Barrier, Path: "x"}
				}
				s.Add(number, c)
				open = append(open, report{number, c})
				continue
			}
			changes, upTo := s.Take(rnd.IntN(5))
			for i, c := range changes {
				if c.Kind == Barrier {
					// Everything reported before the first such barrier was taken by now.
					first := slices.IndexFunc(open, func(r report) bool { return r.change.Kind == Barrier })
					if first < 0 {
						t.Fatalf("seed %d: a barrier was taken twice", seed)
					}
					for _, r := range open[:first] {
						if r.change.Kind != Barrier && !slices.ContainsFunc(changes[:i], func(d Change) bool { return does(d, r.change) }) {
							t.Fatalf("seed %d: a barrier overtook %v", seed, r.change)
						}
					}
					open = append(slices.Clone(open[:first]), open[first+1:]...)
				}
			}
			open = slices.DeleteFunc(open, func(r report) bool {
				return r.change.Kind != Barrier && slices.ContainsFunc(changes, func(d Change) bool { return does(d, r.change) })
			})
			for _, r := range open {
				if r.number <= upTo {
					t.Fatalf("seed %d: %d given out, but %d (%v) waits", seed, upTo, r.number, r.change)
				}
			}
		}
		s.Take(0)
		if s.Len() != 0 {
			t.Fatalf("seed %d: something is left", seed)
		}
	}
}

// does says whether dealing with d deals with c.
func does(d, c Change) bool {
	return d == c || d.Kind == Rescan && Within(c.Path, d.Path)
}
