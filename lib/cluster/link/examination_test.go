package link

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
)

// longer is the examination time before it is changed to that of all other tests.
const longer = 4 * examination

func beatOfNewFS() Request {
	q := beatOfFS()
	q.Examination = longer
	return q
}

// I1: a voter that starts again with a shorter examination time keeps the promises of its earlier run for as long as they were made for, however often it
// starts, and its own time counts again when they are over.
func TestVoterStartsAgainWithAShorterTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		newVoterWith(t, "c", dir, three(t, 7, "a"), longer).answer("a", beatOfNewFS())
		d := newVoter(t, "c", dir, three(t, 7, "a"))
		time.Sleep(longer - 1)
		refusedBecauseHeard(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		d = newVoter(t, "c", dir, three(t, 7, "a")) // killed before the first promises were over
		if f := d.answer("a", beatOfNewFS()).Facts; f.Examination != examination {
			t.Errorf("promises %s from now on", f.Examination)
		}
		time.Sleep(longer - 1)
		d.settleTimes()
		refusedBecauseHeard(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		time.Sleep(1 * time.Nanosecond)
		d.settleTimes()
		votedYes(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		d = newVoter(t, "c", dir, three(t, 7, "a"))
		time.Sleep(examination)
		votedYes(t, d.answer("b", ask(Prepare, 2, three(t, 8, "b"))))
	})
}

// FS of an older release says no examination time: a voter keeps the time that was in force when it was told none.
func TestVoterOfAnOldFileServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		newVoterWith(t, "c", dir, three(t, 7, "a"), longer)
		d := newVoter(t, "c", dir, three(t, 7, "a"))
		time.Sleep(time.Minute)
		d.answer("a", beatOfFS())
		d.settleTimes()
		time.Sleep(longer - 1)
		refusedBecauseHeard(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		time.Sleep(1 * time.Nanosecond)
		votedYes(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
	})
}

// FS lends by the shortest promise of a majority, and asks often enough for it.
func TestFileServerLendsByWhatItHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newVoterWith(t, "a", inMemory(t), three(t, 7, "a"), longer)
		lent := func(examinations ...time.Duration) time.Duration {
			for i, x := range examinations {
				f := Facts{Cluster: "test", Generation: 7, Healthy: true, Examination: x}
				d.onAnswer([]string{"b", "c"}[i], d.heartbeat(), time.Now(), f)
			}
			d.serving.mu.Lock()
			defer d.serving.mu.Unlock()
			return time.Until(d.serving.until)
		}
		if got := lent(examination); got != examination*9/10 {
			t.Errorf("the lease lasts %s by a promise of %s", got, examination)
		}
		if got := d.pace(); got != examination {
			t.Errorf("heartbeats go by %s", got)
		}
		if got := lent(examination, longer); got != longer*9/10 { // a and c
			t.Errorf("the lease lasts %s", got)
		}
	})
}

// Who says none keeps to the time before.
func TestFileServerWithOldVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		newVoter(t, "a", dir, three(t, 7, "a"))
		d := newVoterWith(t, "a", dir, three(t, 7, "a"), longer)
		time.Sleep(time.Minute)
		d.settleTimes()
		if got := d.lend(0); got != examination {
			t.Errorf("one that says none counts for %s", got)
		}
		for _, name := range []string{"b", "c"} {
			d.answer(name, beatOfNewFS())
		}
		d.settleTimes()
		if got := d.lend(0); got != longer {
			t.Errorf("all say theirs, and it counts for %s", got)
		}
	})
}

func TestDamagedTimesAreNoTimes(t *testing.T) {
	d := newVoter(t, "c", t.TempDir(), three(t, 7, "a"))
	for _, text := range []string{"", "{", `{"shortest_ns": 2, "longest_ns": 1}`} {
		if err := os.WriteFile(d.timesPath(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.remember(time.Now()); err == nil {
			t.Errorf("%q is read as %v", text, d.times)
		}
	}
	if d.times != (lease.Times{Shortest: examination, Longest: examination}) {
		t.Error(d.times)
	}
}

// A change is not gone by while a member says none, over any number of starts, and is when all say theirs.
func TestTimeStaysWhileAMemberSaysNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		hears := func(d *Daemon, b, c time.Duration) {
			for name, says := range map[string]time.Duration{"b": b, "c": c} {
				q := beatOfFS()
				q.Examination = says
				d.answer(name, q)
			}
			d.settleTimes()
		}
		hears(newVoter(t, "a", dir, three(t, 7, "a")), examination, 0)
		for range 2 {
			d := newVoterWith(t, "a", dir, three(t, 7, "a"), longer)
			if f := d.facts(d.record, 0); f.Examination != examination || f.Wanted != longer || d.serving.examination != examination || d.times.Longest != examination {
				t.Fatalf("it goes by %s (%+v), and wants %s", f.Examination, d.times, f.Wanted)
			}
			if d.changes() {
				t.Error("it changes before c was heard")
			}
			hears(d, examination, 0)
			if d.changes() {
				t.Error("it changes although c says none")
			}
		}
		d := newVoterWith(t, "a", dir, three(t, 7, "a"), longer)
		hears(d, examination, examination)
		if !d.changes() {
			t.Error("it does not change although all say theirs")
		}
		d = newVoterWith(t, "a", dir, three(t, 7, "a"), longer)
		if f := d.facts(d.record, 0); f.Examination != longer || f.Wanted != 0 || d.changes() {
			t.Errorf("it goes by %s", f.Examination)
		}
	})
}

// Nobody waits for a member that has failed in the meantime: it is not taken back before it says its time (promote.Unfit).
func TestTimeChangesWhenTheSilentMemberHasFailed(t *testing.T) {
	dir := t.TempDir()
	d := newVoter(t, "a", dir, three(t, 7, "a"))
	d.answer("c", beatOfFS())
	d.settleTimes()
	next := three(t, 8, "a")
	for i := range next.Servers {
		if next.Servers[i].Name == "c" {
			next.Servers[i].Status = record.Failed
		}
	}
	next.Pairs[0] = record.Pair{DRS1: "b", DRS2: record.Trouble}
	if reply := d.answer("b", Request{Kind: Install, Cluster: "test", Record: &next}); reply.Error != "" {
		t.Fatal(reply.Error)
	}
	if d = newVoterWith(t, "a", dir, next, longer); d.Settings.ExaminationTime != longer {
		t.Errorf("it goes by %s", d.Settings.ExaminationTime)
	}
}

// The file of the release before names no time in use: it is the one that is in force alone.
func TestTimesOfTheReleaseBefore(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`{"shortest_ns": 1000000000, "longest_ns": 1000000000, "silent": ["c"]}`: examination,
		`{"shortest_ns": 1000000000, "longest_ns": 2000000000, "silent": ["c"]}`: longer, // it was changing
		`{"shortest_ns": 1000000000, "longest_ns": 1000000000}`:                  longer,
		`{"shortest_ns": 1000000000, "longest_ns": 1000000000, "silent": ["x"]}`: longer,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/examination.json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d := newVoterWith(t, "a", dir, three(t, 7, "a"), longer); d.Settings.ExaminationTime != want {
			t.Errorf("%s: it goes by %s", text, d.Settings.ExaminationTime)
		}
	}
}
