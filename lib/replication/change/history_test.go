package change

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func at(generation, number uint64) Position {
	return Position{Generation: generation, Number: number, Complete: true, Exact: true}
}

func look(path string) Change { return Change{Kind: Look, Path: path} }

// when is some time of a test.
func when(seconds int) time.Time { return time.Unix(int64(seconds), 0) }

// Another copy is here: what the one before had is no matter of it.
func TestHistoryThatBeginsAnew(t *testing.T) {
	var h History
	h.Reached(at(7, 1), when(0))
	h.Do(look("old"))
	h.Clear()
	if p, known := h.Common(at(7, 9)); known {
		t.Error("it has been at", p)
	}
	h.Reached(at(7, 5), when(20))
	h.Do(look("new"))
	if since, from, known := h.Since(at(7, 5)); !known || from != at(7, 5) || !reflect.DeepEqual(since, []Change{look("new")}) {
		t.Error(since, from, known)
	}
	if _, _, known := h.Since(at(7, 4)); known {
		t.Error("it knows what was done to the copy before")
	}
}

func TestWhatTwoCopiesMayDifferIn(t *testing.T) {
	var b, c History
	for n := range 4 {
		for _, h := range []*History{&b, &c} {
			h.Reached(at(1, uint64(n)), when(10*n))
			h.Do(look(fmt.Sprint(n)))
		}
	}
	b.Reached(at(1, 4), when(40))
	b.Do(look("of b")) // a batch that never came to its end
	c.Do(Change{Kind: Rescan, Path: "of c"})
	common, known := b.Common(at(1, 3))
	if !known || common != at(1, 3) {
		t.Fatal(common, known)
	}
	// What came last before it may have been done ahead of its number.
	for h, want := range map[*History][]Change{&b: {look("1"), look("2"), look("3"), look("of b")}, &c: {look("1"), look("2"), look("3"), {Kind: Rescan, Path: "of c"}}} {
		if since, _, known := h.Since(common); !known || !reflect.DeepEqual(since, want) {
			t.Errorf("%v, %t, not %v", since, known, want)
		}
	}
	c.Reached(Position{Generation: 1, Number: 4, Complete: true}, when(50)) // and lacks something
	if _, from, known := c.Since(at(1, 9)); !known || from != at(1, 3) {
		t.Error(from, known)
	}
	b.Do(look("4")) // b is the file sharing server now
	b.Reached(at(2, 1), when(50))
	if common, known = b.Common(at(1, 9)); !known || common != at(1, 4) { // c went further than b ever was
		t.Error(common, known)
	}
	if _, known = b.Common(at(0, 9)); known {
		t.Error("a copy of another time is met")
	}
}

func TestAHistoryForgets(t *testing.T) {
	h := History{Bytes: 100 * (doneBytes + 4)}
	for n := range 1000 {
		h.Reached(at(1, uint64(n)), when(5*n))
		h.Do(look(fmt.Sprintf("%04d", n)))
	}
	if _, _, known := h.Since(at(1, 10)); known {
		t.Error("it knows what it forgot")
	}
	if since, _, known := h.Since(at(1, 990)); !known || len(since) != 12 {
		t.Error(since, known)
	}
	if len(h.done) > 100 || len(h.marks) > 101 || h.bytes != len(h.done)*(doneBytes+4) {
		t.Error(len(h.done), len(h.marks), h.bytes)
	}
	h.Reached(at(1, 5), when(5000)) // it begins anew
	if _, _, known := h.Since(at(1, 4)); known {
		t.Error("it knows what was before it began")
	}
}

// Whatever was done to two copies, and wherever one of them fell behind or was cut off: what their histories name is all in which they differ. Files are sent as
// they are, while their changes are numbered some seconds later.
func TestHistoriesNameEveryDifference(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		type copied struct {
			files   map[byte]int
			history History
			number  int
		}
		copies := []*copied{{}, {}}
		var log []byte          // the names of the files that were written, one a second
		share := map[byte]int{} // and when each was written last
		for _, c := range copies {
			c.files, c.history.Bytes = map[byte]int{}, 60*(doneBytes+1)
			c.history.Reached(at(1, 0), when(0))
		}
		for now := range rnd.IntN(300) {
			log = append(log, 'a'+byte(rnd.IntN(26)))
			share[log[now]] = now
			c := copies[rnd.IntN(2)]
			numbered := max(c.number, len(log)-rnd.IntN(int(Overlap/time.Second)))
			to := c.number + rnd.IntN(numbered-c.number+1)
			whole := rnd.IntN(4) > 0
			for _, f := range log[c.number:to] {
				if whole || rnd.IntN(2) == 0 {
					c.history.Do(look(string(f)))
					c.files[f] = share[f]
				}
			}
			if whole {
				c.number = to
				p := at(1, uint64(to))
				p.Exact = to == numbered // it was all there was
				c.history.Reached(p, when(now))
			}
		}
		common, known := copies[0].history.Common(at(1, uint64(copies[1].number)))
		named := map[string]bool{}
		for _, c := range copies {
			since, _, all := c.history.Since(common)
			known = known && all
			for _, change := range since {
				named[change.Path] = true
			}
		}
		for f := range share {
			if known && copies[0].files[f] != copies[1].files[f] && !named[string(f)] {
				t.Fatalf("seed %d: %c differs (%d, %d) and is not among %v", seed, f, copies[0].files[f], copies[1].files[f], named)
			}
		}
	}
}
