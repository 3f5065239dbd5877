package link

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
)

// stage is a serving whose deeds are words in a list.
type stage struct {
	*serving
	t     *testing.T
	done  []string
	notes int
	holds int
	told  int       // times the neighbours were told
	ends  time.Time // of the lease as last noted
	fail  map[string]error
	voted bool
	log   bytes.Buffer
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, fail: map[string]error{}}
	act := func(word string) error {
		if err := s.fail[word]; err != nil {
			return err
		}
		s.done = append(s.done, word)
		return nil
	}
	s.serving = newServing("a", examination, acts{
		hold: func(_ record.Record, lifetime time.Duration, fresh bool) error {
			if fresh {
				s.told++
			}
			if lifetime != time.Second {
				t.Errorf("the address is held for %s", lifetime)
			}
			s.holds++
			return act("hold")
		},
		drop: func(record.Record) error { return act("drop") },
		note: func(r record.Record, remaining time.Duration) error {
			s.notes++
			s.ends = time.Now().Add(remaining)
			return act(fmt.Sprint("note ", r.Generation))
		},
		forget: func() error { return act("forget") },
	}, func(uint64) bool { return s.voted }, zerolog.New(&s.log))
	return s
}

// expect looks at what was done since it was last asked, renewals and the address's part of it left out.
func (s *stage) expect(words ...string) {
	s.t.Helper()
	got := slices.Compact(slices.DeleteFunc(slices.Clone(s.done), func(w string) bool { return w == "hold" }))
	if !slices.Equal(got, words) {
		s.t.Fatalf("done: %q, want %q", got, words)
	}
	s.done = nil
}

// beat is a heartbeat sent now.
func (s *stage) beat() Request { return Request{Kind: Beat, Healthy: true, Lease: s.seeks()} }

var good = Facts{Cluster: "test", Generation: 7, Healthy: true}

func three(t *testing.T, generation uint64, fs string) record.Record {
	r := recordtest.Parse(t, map[string]string{"a": "fs=a pairs=b/c", "b": "fs=b pairs=a/c"}[fs])
	r.Generation = generation
	return r
}

func TestAnswersThatGiveNoLease(t *testing.T) {
	for name, change := range map[string]func(s *stage, q *Request, f *Facts){
		"a server that is not well":                       func(_ *stage, _ *Request, f *Facts) { f.Healthy = false },
		"a server of another cluster":                     func(_ *stage, _ *Request, f *Facts) { f.Cluster = "other" },
		"a server that has a newer generation":            func(_ *stage, _ *Request, f *Facts) { f.Generation = 8 },
		"a server that has voted for a later generation":  func(_ *stage, _ *Request, f *Facts) { f.Voted = 8 },
		"a heartbeat that says FS is not well":            func(_ *stage, q *Request, _ *Facts) { q.Healthy = false },
		"a heartbeat that was sent before it was FS":      func(_ *stage, q *Request, _ *Facts) { q.Lease = 0 },
		"a heartbeat for a lease that was given up":       func(_ *stage, q *Request, _ *Facts) { q.Lease-- },
		"FS itself has voted for a later generation":      func(s *stage, _ *Request, _ *Facts) { s.voted = true },
		"this server is not FS any more":                  func(s *stage, _ *Request, _ *Facts) { s.become(three(s.t, 8, "b"), false) },
		"the role is being handed over":                   func(s *stage, _ *Request, _ *Facts) { s.handOver() },
		"a server that hands over, and asks for it again": func(s *stage, q *Request, _ *Facts) { q.Lease = s.handOver() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.become(three(t, 7, "a"), true)
				q, f := s.beat(), good
				change(s, &q, &f)
				s.answered("b", q, time.Now(), f)
				if s.leased() || s.notes > 0 || s.holds > 0 {
					t.Errorf("has the lease; done: %q", s.done)
				}
			})
		})
	}
}

func TestNobodyButAStrangerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "a"), true)
		s.answered("x", s.beat(), time.Now(), good)
		if s.leased() {
			t.Error("has the lease")
		}
	})
}

// A lease is got, renewed, lost when nobody answers any more, and comes back in the same generation.
func TestLeaseOfOneGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		if !s.become(three(t, 7, "a"), true) {
			t.Fatal("a new FS needs no lease")
		}
		s.expect()
		var sent time.Time
		for range 80 { // ten examination times
			sent = time.Now()
			q := s.beat()
			time.Sleep(3 * time.Millisecond)
			s.answered("b", q, sent, good)
			s.answered("c", q, sent, good)
			if !s.leased() {
				t.Fatal("no lease although all answer")
			}
			time.Sleep(122 * time.Millisecond)
		}
		s.expect("note 7")
		if s.notes > 81 || s.holds > 41 || s.told != 1 {
			t.Errorf("in ten examination times the file was written %d times, the address renewed %d times, the neighbours told %d times", s.notes, s.holds, s.told)
		}
		synctest.Wait()
		time.Sleep(time.Until(sent.Add(899 * time.Millisecond)))
		synctest.Wait()
		if !s.leased() || len(s.done) > 0 {
			t.Fatalf("ended too early: %q", s.done)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s.leased() {
			t.Fatal("lasts longer than a majority has given it")
		}
		s.expect("drop", "forget")
		if s.ends.After(sent.Add(900 * time.Millisecond)) {
			t.Errorf("the file says %s after the last heartbeat", s.ends.Sub(sent))
		}
		s.answered("b", s.beat(), time.Now(), good)
		s.expect("note 7")
		for _, event := range []string{`"event":"lease_lost"`, `"event":"lease"`} {
			if !strings.Contains(s.log.String(), event) {
				t.Errorf("the journal has no %s: %s", event, s.log.String())
			}
		}
		s.become(three(t, 8, "b"), false)
	})
}

// One of three answers on: that is enough. Its answers, late as they come, count from when the heartbeat was sent.
func TestMinorityFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "a"), true)
		s.answered("c", s.beat(), time.Now(), good)
		for range 30 {
			sent, q := time.Now(), s.beat()
			time.Sleep(200 * time.Millisecond)
			s.answered("b", q, sent, good)
			if got := s.ends.Sub(sent); !s.leased() || got > 900*time.Millisecond {
				t.Fatalf("lease ends %s after the heartbeat was sent", got)
			}
		}
		s.become(three(t, 8, "b"), false)
	})
}

// I1: what stands for the lease is gone when become returns, so before anybody is told that the generation is installed here.
func TestRoleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "a"), true)
		s.answered("b", s.beat(), time.Now(), good)
		s.done = nil
		if s.become(three(t, 8, "b"), false) || s.leased() || s.seeks() != 0 {
			t.Error("goes on")
		}
		s.expect("drop", "forget")
		s.become(three(t, 7, "a"), true) // a word that comes late
		s.answered("b", s.beat(), time.Now(), good)
		s.expect()
	})
}

func TestRoleGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "a"), true)
		s.answered("b", s.beat(), time.Now(), good)
		before := s.ends
		time.Sleep(10 * time.Millisecond)
		s.done = nil
		if s.become(three(t, 8, "a"), true) || !s.leased() {
			t.Error("the lease ended with the generation")
		}
		s.expect("note 8")
		if s.ends.After(before) {
			t.Error("a new generation is no answer")
		}
		// b has not installed it yet: that it will makes it keep to FS all the longer.
		s.answered("b", s.beat(), time.Now(), Facts{Cluster: "test", Generation: 7, Voted: 8, Healthy: true})
		if !s.until.After(before) {
			t.Error("an answer from the generation before does not count")
		}
		s.become(three(t, 9, "b"), false)
	})
}

func TestAddressChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "a"), true)
		s.answered("b", s.beat(), time.Now(), good)
		other := three(t, 8, "a")
		other.FS.VirtualAddress = "192.168.1.253/24"
		s.become(other, true)
		s.expect("note 7", "drop", "note 8")
		if s.told != 2 {
			t.Errorf("the neighbours were told %d times", s.told)
		}
		s.become(three(t, 9, "b"), false)
	})
}

func TestStartCleansUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "b"), false)
		s.expect("drop", "forget")
		s.become(three(t, 8, "b"), false)
		s.expect()
	})
}

// FS hands its role over, nobody takes it, and it seeks a lease again: a term later than the one its voters were told.
func TestHandOverComesToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.become(three(t, 7, "a"), true)
		old := s.beat()
		s.answered("b", old, time.Now(), good)
		s.done = nil
		gaveUp := s.handOver()
		s.expect("drop", "forget")
		if again := s.handOver(); again != gaveUp || gaveUp <= old.Lease {
			t.Fatalf("terms: %d, then gave up %d and %d", old.Lease, gaveUp, again)
		}
		time.Sleep(RestTime - time.Millisecond)
		if s.seeks() != 0 {
			t.Fatal("seeks a lease while its question may still be on its way")
		}
		time.Sleep(time.Millisecond)
		if q := s.beat(); q.Lease <= gaveUp {
			t.Fatal("seeks a lease of an earlier term:", q.Lease)
		}
		s.answered("b", old, time.Now(), good)
		s.expect()
		s.answered("b", s.beat(), time.Now(), good)
		s.expect("note 7")
		s.become(three(t, 8, "b"), false)
	})
}

// The last member of its cluster needs nobody's answer.
func TestClusterOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		alone := recordtest.Parse(t, "fs=a pairs=trouble/trouble failed=b,c")
		if s.become(alone, true) || !s.leased() {
			t.Fatal("no lease")
		}
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			if !s.leased() || time.Until(s.ends) < 500*time.Millisecond {
				t.Fatalf("the file says %s", time.Until(s.ends))
			}
		}
		s.become(three(t, 8, "b"), false)
	})
}

// A step that fails is tried at the next renewal, and said once.
func TestFailedStep(t *testing.T) {
	for _, step := range []string{"hold", "note 7"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.fail[step] = errors.New("no such device")
				s.become(three(t, 7, "a"), true)
				for range 5 {
					s.answered("b", s.beat(), time.Now(), good)
					time.Sleep(10 * time.Millisecond)
				}
				if n := strings.Count(s.log.String(), "no such device"); n != 1 {
					t.Errorf("said %d times", n)
				}
				delete(s.fail, step)
				s.answered("b", s.beat(), time.Now(), good)
				if !slices.Contains(s.done, step) {
					t.Errorf("not tried again: %q", s.done)
				}
				s.become(three(t, 8, "b"), false)
			})
		})
	}
}
