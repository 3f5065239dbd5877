package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/host/system"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/systemtest"
)

const examination = time.Second

func TestVerdict(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name  string
		times Times
		now   float64
		want  Verdict
	}{
		{"never answered, still early", Times{Watched: start, Grace: 10 * time.Second}, 10.9, Unknown},
		{"never answered, too late", Times{Watched: start, Grace: 10 * time.Second}, 11, Lost},
		{"first generation: still being deployed", Times{Watched: start, Grace: FirstAnswerGrace(1)}, 600, Unknown},
		{"answered just now", Times{Watched: start, Answered: at(5)}, 5.1, Alive},
		{"one instant before the examination time is over", Times{Watched: start, Answered: at(5)}, 5.999, Alive},
		{"silent for the examination time", Times{Watched: start, Answered: at(5)}, 6, Lost},
		{"its own heartbeat is a sign of life", Times{Watched: start, Answered: at(5), Heard: at(5.5)}, 6.2, Alive},
		{"an older heartbeat adds nothing", Times{Watched: start, Answered: at(5), Heard: at(4)}, 6, Lost},
	} {
		if got := c.times.At(at(c.now), examination); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Scenarios: `record`, then `self NAME lost NAMES`, then `expect NAME@pauses ...` (who is reported, and after how many pauses).
func TestReports(t *testing.T) {
	text, err := os.ReadFile("testdata/reports.txt")
	if err != nil {
		t.Fatal(err)
	}
	var r record.Record
	var got string
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "record":
			r = recordtest.Parse(t, rest)
		case "self":
			words := strings.Fields(rest)
			lost := map[string]bool{}
			for _, w := range words[2:] {
				lost[w] = true
			}
			var reports []string
			for _, report := range Reports(r, words[0], lost, time.Second) {
				reports = append(reports, fmt.Sprintf("%s@%d", report.Server, report.After/time.Second))
			}
			got = strings.Join(reports, " ")
		case "expect":
			if got != strings.TrimSpace(rest) {
				t.Errorf("reports.txt:%d: %q, want %q", i+1, got, strings.TrimSpace(rest))
			}
		}
	}
}

func TestStand(t *testing.T) {
	r := recordtest.Parse(t, "fs=a pairs=b/c spares=d failed=e") // four members
	for _, c := range []struct {
		name    string
		answers map[string]uint64
		want    Standing
	}{
		{"alone", nil, Standing{}},
		{"half is no majority", map[string]uint64{"b": 7}, Standing{}},
		{"a failed server does not count", map[string]uint64{"b": 7, "e": 7}, Standing{}},
		{"three of four", map[string]uint64{"b": 7, "c": 7}, Standing{Confirmed: true}},
		{"others are behind", map[string]uint64{"b": 6, "c": 6, "d": 7}, Standing{}},
		{"somebody is ahead", map[string]uint64{"b": 7, "c": 7, "d": 9, "e": 8}, Standing{Newer: "d"}},
	} {
		if got := Stand(r, "a", c.answers); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestObjection(t *testing.T) {
	have := recordtest.Parse(t, "fs=a pairs=b/c spares=d failed=e")
	next := have.Clone()
	next.Generation++
	replaced := next.Clone()
	replaced.FS.Name = "b"
	stranger := next.Clone()
	stranger.Cluster = "other"
	later := next.Clone()
	later.Generation++
	for _, c := range []struct {
		name      string
		wanted    record.Record
		from      string
		self      string
		confirmed bool
		handsOver bool
		silence   time.Duration
		want      string // part of the reason; empty: no objection
	}{
		{"an ordinary repair", next, "a", "c", true, false, 0, ""},
		{"not confirmed since the boot", next, "a", "c", false, false, 0, "does not know yet"},
		{"another cluster", stranger, "a", "c", true, false, 0, `of cluster "test"`},
		{"not the successor", later, "a", "c", true, false, 0, "is not the next"},
		{"proposed by a failed server", next, "e", "c", true, false, 0, "e is no member"},
		{"asked of a failed server", next, "a", "e", true, false, 0, "has failed itself"},
		{"FS was heard a moment ago", replaced, "b", "c", true, false, examination / 2, "heard the file sharing server a"},
		{"FS is silent", replaced, "b", "c", true, false, examination, ""},
		{"FS itself is asked", replaced, "b", "a", true, false, time.Hour, "works"},
		{"FS asks to be replaced and has its lease", replaced, "a", "c", true, false, 0, "heard the file sharing server a"},
		{"FS itself is asked by itself, and has its lease", replaced, "a", "a", true, false, time.Hour, "works"},
		{"FS hands its role over", replaced, "a", "c", true, true, 0, ""},
		{"FS hands its role over and votes for that", replaced, "a", "a", true, true, 0, ""},
	} {
		got := objection(have, c.wanted, c.from, c.self, c.confirmed, c.handsOver, c.silence, examination)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHeartbeatsOfAllServersFallTogether(t *testing.T) {
	interval := Interval(examination)
	start := time.Unix(0, 7*int64(interval))
	for _, after := range []time.Duration{0, time.Millisecond, interval - 1, interval, 10*interval + 3} {
		now := start.Add(after)
		if next := now.Add(untilBeat(now, interval)); next.UnixNano()%int64(interval) != 0 || !next.After(now) {
			t.Errorf("after %s the next beat is at %s", after, next)
		}
	}
}

// A peer that answers, falls silent, and answers again: the verdicts change at the right moments, over one stream.
func TestPeerIsLostAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		silent := make(chan bool, 1)
		silent <- false
		dial := func(context.Context) (stream io.ReadWriteCloser, err error) {
			near, far := net.Pipe()
			go serve(far, func(q Request) Reply {
				quiet := <-silent
				silent <- quiet
				if quiet {
					<-ctx.Done()
				}
				return Reply{Facts: &Facts{Healthy: true}}
			})
			return near, nil
		}
		start := time.Now()
		type change struct {
			to Verdict
			at time.Duration
		}
		changes := make(chan change, 10)
		p := newPeer("w", func(ctx context.Context) (io.ReadWriteCloser, error) { return dial(ctx) }, examination, 0)
		p.question = func() Request { return Request{Kind: Beat} }
		p.answered = func(string, Request, time.Time, Facts) {}
		p.changed = func(_ string, _, to Verdict) { changes <- change{to, time.Since(start)} }
		go p.run(ctx)
		if c := <-changes; c.to != Alive || c.at > examination/4 {
			t.Fatalf("first: %+v", c)
		}
		time.Sleep(5 * examination)
		<-silent
		silent <- true
		fell := time.Since(start)
		c := <-changes
		if took := c.at - fell; c.to != Lost || took > examination || took < examination-2*Interval(examination) {
			t.Fatalf("lost %s after the silence began, examination time %s: %+v", took, examination, c)
		}
		<-silent
		silent <- false
		if c := <-changes; c.to != Alive {
			t.Fatalf("back: %+v", c)
		}
		cancel()
		synctest.Wait()
	})
}

// I8: this machine slept between a question and its answer, which one of its clocks did not see.
func TestMachineSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var boot, nap atomic.Int64
		p := newPeer("w", func(context.Context) (io.ReadWriteCloser, error) {
			near, far := net.Pipe()
			go serve(far, func(Request) Reply {
				boot.Add(nap.Load())
				return Reply{Facts: &Facts{Healthy: true}}
			})
			return near, nil
		}, examination, 0)
		p.clock = func() time.Duration { return time.Duration(boot.Load()) }
		p.question = func() Request { return Request{Kind: Beat} }
		var answers atomic.Int32
		p.answered = func(string, Request, time.Time, Facts) { answers.Add(1) }
		lost := make(chan struct{})
		p.changed = func(_ string, _, to Verdict) {
			if to == Lost {
				close(lost)
			}
		}
		nap.Store(int64(examination - 1))
		go p.run(ctx)
		time.Sleep(5 * examination)
		if answers.Load() == 0 {
			t.Fatal("a short nap spoils an answer")
		}
		nap.Store(int64(examination))
		before := answers.Load()
		<-lost
		if n := answers.Load() - before; n > 1 {
			t.Errorf("%d answers counted that slept through the examination time", n)
		}
		cancel()
		synctest.Wait()
	})
}

// A peer whose own heartbeats come in is asked once a second only, unless each answer is needed; when they stop, the verdict falls as soon as ever.
func TestPeerThatIsHeard(t *testing.T) {
	for _, needed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			silent := make(chan bool, 1)
			silent <- false
			var asked atomic.Int32
			p := newPeer("w", func(context.Context) (io.ReadWriteCloser, error) {
				near, far := net.Pipe()
				go serve(far, func(Request) Reply {
					asked.Add(1)
					quiet := <-silent
					silent <- quiet
					if quiet {
						<-ctx.Done()
					}
					return Reply{Facts: &Facts{Healthy: true}}
				})
				return near, nil
			}, examination, 0)
			p.question = func() Request { return Request{Kind: Beat} }
			p.answered = func(string, Request, time.Time, Facts) {}
			lost := make(chan time.Time, 1)
			p.changed = func(_ string, _, to Verdict) {
				if to == Lost {
					lost <- time.Now()
				}
			}
			p.needed = func() bool { return needed }
			go p.run(ctx)
			var last time.Time
			for range 160 { // 20 s
				last = time.Now()
				p.hear(last)
				time.Sleep(Interval(examination))
			}
			if n := asked.Load(); needed && n < 155 || !needed && (n < 18 || n > 25) {
				t.Errorf("needed %v: asked %d times in 20 s", needed, n)
			}
			<-silent
			silent <- true
			if took := (<-lost).Sub(last); took < examination || took > examination+Interval(examination) {
				t.Errorf("needed %v: lost %s after it was last heard", needed, took)
			}
			cancel()
			synctest.Wait()
		})
	}
}

func TestUnhealthyPeerIsNoGoodAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := newPeer("w", func(context.Context) (io.ReadWriteCloser, error) {
			near, far := net.Pipe()
			go serve(far, func(Request) Reply { return Reply{Facts: &Facts{Healthy: false, Problem: "disk hangs"}} })
			return near, nil
		}, examination, 0)
		verdicts := make(chan Verdict, 10)
		p.question = func() Request { return Request{Kind: Beat} }
		p.answered = func(string, Request, time.Time, Facts) {}
		p.changed = func(_ string, _, to Verdict) { verdicts <- to }
		go p.run(ctx)
		if v := <-verdicts; v != Lost {
			t.Fatal("a server whose disk hangs counts as", v)
		}
		cancel()
		synctest.Wait()
	})
}

func TestBrokenStreamFailsEveryQuestion(t *testing.T) {
	near, far := net.Pipe()
	c := newCaller(near)
	failed := make(chan error, 1)
	go func() {
		_, err := c.call(t.Context(), Request{Kind: Beat})
		failed <- err
	}()
	if _, err := far.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if err := <-failed; err == nil {
		t.Fatal("a question on a broken stream was answered")
	}
	if _, err := c.call(t.Context(), Request{Kind: Beat}); err == nil {
		t.Fatal("a question on a stream broken before was answered")
	}
}

func TestMessageWithoutEndIsRefused(t *testing.T) {
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(far, func(Request) Reply { return Reply{} }) }()
	go func() {
		junk := []byte(`{"kind":"` + strings.Repeat("x", 64<<10))
		for {
			if _, err := near.Write(junk); err != nil {
				return
			}
			junk = junk[9:]
			junk = append(junk, "xxxxxxxxx"...)
		}
	}()
	if err := <-ended; err == nil || errors.Is(err, net.ErrClosed) {
		t.Fatal("got", err)
	}
	near.Close()
}

// A peer that asks and asks and takes no answer fills its own stream and not our memory.
func TestQuestionsWithoutEndAreLeftUnread(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = serve(far, func(Request) Reply { return Reply{} }) }()
	asked := 0
	for {
		if err := near.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write([]byte(`{"kind":"beat"}` + "\n")); err != nil {
			break
		}
		if asked++; asked > 100*questionsAtOnce {
			t.Fatal("all are taken")
		}
	}
	if asked < questionsAtOnce {
		t.Errorf("%d questions were taken", asked)
	}
}

func TestReportIsDueAgainWhileNothingChanges(t *testing.T) {
	start := time.Unix(1000, 0)
	due := map[string]time.Time{"back": start}
	reports := []Report{{Server: "a"}, {Server: "b", After: time.Second}}
	for _, c := range []struct {
		after time.Duration
		want  string
		wait  time.Duration
	}{
		{0, "[a]", time.Second},
		{time.Second / 2, "[]", time.Second / 2},
		{time.Second, "[b]", time.Second},
		{2 * time.Second, "[a]", time.Second},
	} {
		got, wait := Due(start.Add(c.after), due, reports, 2*time.Second)
		if fmt.Sprint(got) != c.want || wait != c.wait {
			t.Errorf("after %s: %v, wait %s; want %s, %s", c.after, got, wait, c.want, c.wait)
		}
	}
	if len(due) != 2 {
		t.Error("a server that is back is still to be reported:", due)
	}
	if _, wait := Due(start, due, nil, time.Second); wait != 0 || len(due) > 0 {
		t.Error("nothing to report, and yet", due, wait)
	}
}

func TestNewestIsLearnt(t *testing.T) {
	if from, g := Newest(7, map[string]uint64{"a": 6, "b": 9, "c": 8}); from != "b" || g != 9 {
		t.Error(from, g)
	}
	if from, _ := Newest(9, map[string]uint64{"b": 9}); from != "" {
		t.Error("nothing is newer, and yet", from)
	}
}

func TestVoterHandsOutWhatWasChosen(t *testing.T) {
	have := recordtest.Parse(t, "fs=a pairs=b/c spares=d")
	v := Voter{Self: "c", Have: have, Confirmed: true, Silence: time.Hour, Examination: examination}
	wanted := have.Clone()
	if a, refused := v.Refusal("b", wanted); !refused || a.Chosen == nil {
		t.Error("the generation that was asked for is chosen:", a)
	}
	wanted.Generation--
	if a, refused := v.Refusal("b", wanted); !refused || a.Chosen != nil {
		t.Error("an old generation:", a)
	}
	wanted.Generation += 2
	text, err := json.Marshal(wanted)
	if err != nil {
		t.Fatal(err)
	}
	var newer record.Record
	if err := json.Unmarshal([]byte(strings.Replace(string(text), "{", `{"Zone":"a",`, 1)), &newer); err != nil {
		t.Fatal(err)
	}
	if a, refused := v.Refusal("b", newer); !refused || !strings.Contains(a.Reason, "newer release") {
		t.Error("a record of a newer release:", a)
	}
	if a, refused := v.Refusal("b", wanted); refused {
		t.Error("refused:", a.Reason)
	}
}

// I7: killed between the swap of the link and its sync, this program finds a generation that a power loss would take away again.
func TestFoundGenerationIsKeptBeforeItIsActedIn(t *testing.T) {
	script, machine := systemtest.StopAt(-1)
	d := &Daemon{Machine: machine}
	d.Settings.Name, d.Settings.StateDirectory = "a", t.TempDir()
	d.store = record.Store{Machine: system.Machine{}, Directory: d.Settings.StateDirectory}
	if err := d.store.Install(recordtest.Parse(t, "fs=a pairs=b/c")); err != nil {
		t.Fatal(err)
	}
	d.store.Machine = machine
	if err := d.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(script.Steps, "sync current") {
		t.Fatal("not synced:", script.Steps)
	}
}
