package mirror

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCrowded(t *testing.T) {
	for _, c := range []struct{ paths, want string }{
		{"a/b/1 a/b/2 a/b/3", "a/b"},
		{"a/b/1 a/b/2 a/c/3", "a/b"},
		{"a/b/1 a/c/2 a/d/3", "a"},
		{"a/1 b/2 c/3", "."},
		{"1 2 a/b/3", "."},
		{"a/b/1 a/b/2 a/b/3 a/b a", "a/b"},
		{"ab/1 ab/2 a/1", "ab"},
	} {
		if got := crowded(strings.Fields(c.paths)); got != c.want {
			t.Errorf("%s: %s, want %s", c.paths, got, c.want)
		}
	}
}

// However much is lacked, and wherever, what is kept of it is bounded, and says what is lacked.
func TestWhatIsLackedIsBounded(t *testing.T) {
	l, now := newLacks(), time.Unix(1e9, 0)
	never := func(*lack) bool { return false }
	told := 0
	for dir := range 50 {
		failed := map[string]failure{}
		for i := range 400 {
			failed[fmt.Sprintf("d%d/%d", dir, i)] = failure{OfReplica, unix.EPERM, false}
		}
		told += len(l.dealt(never, failed, now.Add(time.Duration(dir)*time.Second)))
		if n := len(l.list()); n > maxLacks {
			t.Fatalf("%d are kept", n)
		}
	}
	if told > 10*maxLacks {
		t.Errorf("%d were told", told)
	}
	for _, path := range []string{"d0/0", "d7/399", "d49/0"} {
		if found, is := l.of(path); !is || found.Errno != unix.EPERM || found.Side != OfReplica || !found.Since.Before(now.Add(time.Minute)) {
			t.Errorf("%s: %+v %v", path, found, is)
		}
	}
	if due, _ := l.retries(now.Add(time.Hour)); len(due) != len(l.list()) {
		t.Errorf("%d of %d are looked at again", len(due), len(l.list()))
	}
	l.dealt(func(*lack) bool { return true }, nil, now)
	if l.any() {
		t.Errorf("%+v is still lacked", l.list())
	}
}

// What stands for many goes when all of it was looked at, not when one path of it was.
func TestADirectoryThatStandsForManyPathsGoesWhenAllOfItWasLookedAt(t *testing.T) {
	l, now, failed := newLacks(), time.Unix(1e9, 0), map[string]failure{}
	for i := range maxLacks + 1 {
		failed[fmt.Sprintf("d/%d", i)] = failure{OfReplica, unix.EPERM, false}
	}
	one := map[string]failure{"d/3": {OfReplica, unix.EPERM, false}}
	l.dealt(func(*lack) bool { return false }, failed, now)
	for _, c := range []struct {
		below  bool
		failed map[string]failure
		want   string
	}{{false, nil, "d"}, {false, one, "d"}, {true, one, "d/3"}, {true, nil, ""}} {
		l.dealt(func(l *lack) bool { return c.below || !l.folded }, c.failed, now.Add(time.Minute))
		got := ""
		for _, lack := range l.list() {
			got += lack.Path
			if !lack.Since.Equal(now) {
				t.Errorf("%s is lacked since %s", lack.Path, lack.Since)
			}
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
