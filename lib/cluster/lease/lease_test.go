package lease

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafs/lib/testkit/systemtest"
)

const examination = time.Second

// Lines of testdata/leases.txt: `members a b c`, then `sent a=900 b=…/2000` (milliseconds; after / how long the promise is, if not one second), then `expect none` or `expect until MS`.
func TestLeases(t *testing.T) {
	text, err := os.ReadFile("testdata/leases.txt")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1000, 0)
	var members []string
	var sent map[string]Grant
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "members":
			members = words[1:]
		case "sent":
			sent = map[string]Grant{}
			for _, w := range words[1:] {
				name, ms, _ := strings.Cut(w, "=")
				ms, length, differs := strings.Cut(ms, "/")
				n, err := strconv.Atoi(ms)
				if err != nil {
					t.Fatalf("leases.txt:%d: %v", i+1, err)
				}
				g := Grant{start.Add(time.Duration(n) * time.Millisecond), examination}
				if differs {
					if n, err = strconv.Atoi(length); err != nil {
						t.Fatalf("leases.txt:%d: %v", i+1, err)
					}
					g.For = time.Duration(n) * time.Millisecond
				}
				sent[name] = g
			}
		case "expect":
			got := "none"
			if until := Until(members, sent); !until.IsZero() {
				got = "until " + strconv.FormatInt(until.Sub(start).Milliseconds(), 10)
			}
			if want := strings.Join(words[1:], " "); got != want {
				t.Errorf("leases.txt:%d: %s, want %s", i+1, got, want)
			}
		}
	}
}

// The slow twin tries every moment at which a lease could end and counts who still answers for it.
func TestAgainstSlowTwin(t *testing.T) {
	start := time.Unix(1000, 0)
	names := strings.Fields("a b c d e f g")
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		members := names[:random.IntN(len(names)+1)]
		sent := map[string]Grant{}
		for _, name := range names {
			if random.IntN(3) > 0 {
				length := examination - time.Duration(random.IntN(3))*10*time.Millisecond
				sent[name] = Grant{start.Add(time.Duration(random.IntN(20)) * time.Millisecond), length}
			}
		}
		var want time.Time
		for ms := range 1000 {
			moment, good := start.Add(time.Duration(ms)*time.Millisecond), 0
			for _, m := range members {
				if g, answered := sent[m]; answered && !g.Sent.Add(g.For*9/10).Before(moment) {
					good++
				}
			}
			if 2*good > len(members) {
				want = moment
			}
		}
		if got := Until(members, sent); !got.Equal(want) {
			t.Fatalf("seed %d: members %v sent %v: %v, want %v", seed, members, sent, got, want)
		}
	}
}

// I8: a clock of FS that is 5 % slow does not make the lease outlast a promise by clocks that are 5 % fast.
func TestClocksAtTheirWorst(t *testing.T) {
	sent := time.Unix(1000, 0)
	lasts := Until([]string{"a"}, map[string]Grant{"a": {sent, examination}}).Sub(sent)
	if lease, promise := float64(lasts)/0.95, float64(examination)/1.05; lease > promise {
		t.Errorf("the lease lasts %.3f s of true time, the promise %.3f s", lease/1e9, promise/1e9)
	}
}

// Whatever a server has been told to use, one after another, it keeps to the longest and counts on the shortest until promises of earlier runs are over.
func TestTimesWhileTheyChange(t *testing.T) {
	var times Times
	if times = times.Start(3 * time.Second); times != (Times{3 * time.Second, 3 * time.Second}) {
		t.Fatal(times)
	}
	times = times.Start(time.Second).Start(2 * time.Second) // twice before anything has settled
	if times != (Times{time.Second, 3 * time.Second}) {
		t.Fatal(times)
	}
	const own = 2 * time.Second
	for _, c := range []struct {
		running        time.Duration
		fsSays, allSay bool
		want           Times
	}{
		{3*time.Second - 1, true, true, Times{own, 3 * time.Second}},
		{3 * time.Second, true, false, Times{time.Second, own}},
		{time.Hour, false, false, times},
		{3 * time.Second, true, true, Times{own, own}},
	} {
		if got := times.Settle(own, c.running, c.fsSays, c.allSay); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for said, want := range map[time.Duration]time.Duration{0: time.Second, 1500 * time.Millisecond: 1500 * time.Millisecond, time.Hour: own} {
		if got := times.Lend(own, said); got != want {
			t.Errorf("lends %s to who says %s", got, said)
		}
	}
}

func TestHeld(t *testing.T) {
	l := Lease{Generation: 7, Expires: time.Minute}
	for now, want := range map[time.Duration]bool{0: true, time.Minute - 1: true, time.Minute: false, time.Hour: false} {
		if l.Held(now) != want {
			t.Errorf("at %s: %v", now, !want)
		}
	}
	if (Lease{}).Held(0) || (Lease{}).Held(-1) {
		t.Error("no lease is held")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	_, machine := systemtest.StopAt(-1)
	if l, err := Read(path); err != nil || l != (Lease{}) || Held(path) {
		t.Fatalf("no file: %v %v", l, err)
	}
	for _, text := range []string{"", "7", "7 x\n", "x"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || Held(path) {
			t.Errorf("%q is read as a lease", text)
		}
	}
	want := Lease{Generation: 7, Expires: Clock() + time.Minute}
	if err := want.Write(machine, path); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path); err != nil || got != want || !Held(path) {
		t.Errorf("read %v %v, want %v", got, err, want)
	}
	if err := (Lease{Generation: 7, Expires: Clock()}).Write(machine, path); err != nil || Held(path) {
		t.Errorf("one that has run out is held (%v)", err)
	}
	if err := Remove(machine, path); err != nil || Held(path) {
		t.Errorf("removed, and held (%v)", err)
	}
	if err := Remove(machine, path); err != nil {
		t.Error(err)
	}
}

// I7: a renewal that fails leaves the lease before it whole.
func TestFailedRenewal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	_, machine := systemtest.StopAt(1)
	first := Lease{Generation: 7, Expires: time.Hour}
	if err := first.Write(machine, path); err != nil {
		t.Fatal(err)
	}
	if err := (Lease{Generation: 7, Expires: 2 * time.Hour}).Write(machine, path); !errors.Is(err, systemtest.ErrStopped) {
		t.Fatal("got", err)
	}
	if got, err := Read(path); err != nil || got != first {
		t.Errorf("%v %v", got, err)
	}
}
