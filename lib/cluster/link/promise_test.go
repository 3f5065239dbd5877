package link

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
)

// newVoter is a hafs-linkcheck without links and without an address.
func newVoter(t *testing.T, name, directory string, r record.Record) *Daemon {
	t.Helper()
	return newVoterWith(t, name, directory, r, examination)
}

func newVoterWith(t *testing.T, name, directory string, r record.Record, examination time.Duration) *Daemon {
	t.Helper()
	d := &Daemon{
		Settings: config.Settings{Name: name, ExaminationTime: examination, StateDirectory: directory, RunDirectory: directory},
		Log:      zerolog.Nop(), Start: func(string) error { return nil },
	}
	d.open()
	if _, err := d.store.Current(); err != nil {
		if err := d.store.Install(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.confirmed, d.bare.looked = true, true
	if err := d.remember(time.Now()); err != nil {
		t.Fatal(err)
	}
	none := func(record.Record) error { return nil }
	d.serving.acts = acts{
		hold: func(record.Record, time.Duration, bool) error { return nil }, drop: none,
		note: func(record.Record, time.Duration) error { return nil }, forget: func() error { return nil },
	}
	d.serve()
	return d
}

// inMemory is a directory where syncing costs nothing.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "hafs-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func ask(kind Kind, round uint64, wanted record.Record) Request {
	return Request{Kind: kind, Cluster: "test", Ballot: &agree.Ballot{Round: round, Proposer: "b"}, Record: &wanted}
}

func beatOfFS() Request {
	return Request{Kind: Beat, Cluster: "test", Generation: 7, Healthy: true, Lease: 1}
}

func refusedBecauseHeard(t *testing.T, r Reply) {
	t.Helper()
	if r.Answer == nil || r.Answer.Yes || !strings.Contains(r.Answer.Reason, "heard the file sharing server") {
		t.Errorf("answer %+v %s, want a refusal: it heard FS", r.Answer, r.Error)
	}
}

func votedYes(t *testing.T, r Reply) {
	t.Helper()
	if r.Answer == nil || !r.Answer.Yes {
		t.Fatalf("answer %+v %s, want yes", r.Answer, r.Error)
	}
}

// A voter that starts again keeps a promise it has forgotten.
func TestVoterStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		d := newVoter(t, "c", dir, three(t, 7, "a"))
		d.answer("a", beatOfFS())
		d = newVoter(t, "c", dir, three(t, 7, "a"))
		refusedBecauseHeard(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		time.Sleep(examination - 1)
		refusedBecauseHeard(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		time.Sleep(1 * time.Nanosecond)
		votedYes(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
	})
}

// The lease of the generation before goes on in this one: nobody helps to replace its FS too soon after installing it.
func TestVoterInstalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newVoter(t, "c", inMemory(t), three(t, 7, "a"))
		time.Sleep(time.Minute)
		eight := three(t, 8, "a")
		if r := d.answer("b", Request{Kind: Install, Cluster: "test", Record: &eight}); r.Error != "" {
			t.Fatal(r.Error)
		}
		refusedBecauseHeard(t, d.answer("b", ask(Prepare, 1, three(t, 9, "b"))))
		time.Sleep(examination)
		votedYes(t, d.answer("b", ask(Prepare, 1, three(t, 9, "b"))))
	})
}

// A promise of Paxos is no vote yet: FS, heard again before the vote, stays.
func TestFSIsHeardBetweenPromiseAndVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newVoter(t, "c", inMemory(t), three(t, 7, "a"))
		time.Sleep(examination)
		votedYes(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		if f := d.answer("a", beatOfFS()).Facts; f.Voted != 0 {
			t.Error("says it has voted, and has not")
		}
		refusedBecauseHeard(t, d.answer("b", ask(Accept, 1, three(t, 8, "b"))))
		if f := d.answer("a", beatOfFS()).Facts; f.Voted != 0 {
			t.Error("says it has voted, and has refused")
		}
	})
}

// After a vote FS may be heard, but the answer gives it no lease, not even after a restart.
func TestFSIsHeardAfterTheVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		d := newVoter(t, "c", dir, three(t, 7, "a"))
		time.Sleep(examination)
		votedYes(t, d.answer("b", ask(Prepare, 1, three(t, 8, "b"))))
		votedYes(t, d.answer("b", ask(Accept, 1, three(t, 8, "b"))))
		for range 2 {
			if f := d.answer("a", beatOfFS()).Facts; f.Voted != 8 {
				t.Errorf("tells FS %+v", f)
			}
			d = newVoter(t, "c", dir, three(t, 7, "a"))
		}
	})
}

func TestVoteThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := inMemory(t)
		newVoter(t, "c", dir, three(t, 7, "a"))
		if err := os.WriteFile(dir+"/vote.json", []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if f := newVoter(t, "c", dir, three(t, 7, "a")).answer("a", beatOfFS()).Facts; f.Voted != 8 {
			t.Errorf("tells FS %+v", f)
		}
	})
}

// FS may ask to be replaced once it has given its lease up. A question that comes after FS sought a lease again is too late.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := newVoter(t, "a", inMemory(t), three(t, 7, "a")), newVoter(t, "c", inMemory(t), three(t, 7, "a"))
		beat := a.heartbeat()
		a.serving.answered("c", beat, time.Now(), *c.answer("a", beat).Facts)
		if !a.serving.leased() {
			t.Fatal("no lease to hand over")
		}
		refusedBecauseHeard(t, c.answer("a", ask(Prepare, 1, three(t, 8, "b"))))
		question := a.sign(ask(Prepare, 1, three(t, 8, "b")))
		if a.serving.leased() || a.heartbeat().Lease != 0 {
			t.Fatal("asks to be replaced and serves on")
		}
		late := a.sign(ask(Prepare, 2, three(t, 8, "b")))
		votedYes(t, c.answer("a", question))
		time.Sleep(RestTime)
		c.answer("a", a.heartbeat())
		refusedBecauseHeard(t, c.answer("a", late))
	})
}

// FS votes like any other member, and from then on does not count for its own lease.
func TestFSItselfHasVoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newVoter(t, "a", inMemory(t), three(t, 7, "a"))
		votedYes(t, a.answer("c", ask(Accept, 1, three(t, 8, "a"))))
		a.serving.answered("b", a.heartbeat(), time.Now(), good)
		if a.serving.leased() {
			t.Error("b alone has given it a lease")
		}
		a.serving.answered("c", a.heartbeat(), time.Now(), good)
		if !a.serving.leased() {
			t.Error("b and c have given it no lease")
		}
		eight := three(t, 8, "b")
		_ = a.install(eight, a.store.Install, "test")
	})
}

// A vote that nobody finishes would keep FS from its lease for good: FS finishes it.
func TestVoteLeftHalfDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := newVoter(t, "a", inMemory(t), three(t, 7, "a")), newVoter(t, "c", inMemory(t), three(t, 7, "a"))
		votedYes(t, c.answer("b", ask(Accept, 1, three(t, 8, "a"))))
		p := newPeer("c", func(context.Context) (io.ReadWriteCloser, error) {
			near, far := net.Pipe()
			go serve(far, func(q Request) Reply { return c.answer("a", q) })
			return near, nil
		}, examination, 0)
		p.question, p.answered, p.changed = a.heartbeat, a.onAnswer, a.onVerdict
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		gone := newPeer("b", nil, examination, 0)
		gone.times.Watched = time.Now().Add(-time.Hour)
		a.peers["b"], a.peers["c"] = &peerLink{peer: gone, stop: stop}, &peerLink{peer: p, stop: stop}
		go p.run(ctx)
		started := time.Now()
		for a.record.Generation == 7 && time.Since(started) < time.Minute {
			a.finish(ctx)
			time.Sleep(Interval(examination))
			synctest.Wait()
		}
		if a.record.Generation != 8 || c.record.Generation != 8 || time.Since(started) < StuckTime(examination) {
			t.Errorf("after %s: %d and %d", time.Since(started), a.record.Generation, c.record.Generation)
		}
		time.Sleep(examination)
		if !a.serving.leased() {
			t.Error("FS has no lease afterwards")
		}
		stop()
		synctest.Wait()
		nine := three(t, 9, "b")
		_ = a.install(nine, a.store.Install, "test")
	})
}

// A vote that cannot be read may be for the generation to come. The server says so, does not vote, and votes again after it was out of the record.
func TestDamagedVote(t *testing.T) {
	directory := inMemory(t)
	if err := os.WriteFile(directory+"/vote.json", []byte(`{"generation": 8, "prom`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := three(t, 7, "a")
	d := newVoter(t, "c", directory, r)
	failed := r.Clone()
	failed.Generation, failed.Servers[2].Status = 8, record.Failed
	failed.Pairs[0].DRS2 = record.Trouble
	if reply := d.answer("a", ask(Prepare, 1, failed)); !strings.Contains(reply.Error, "does not vote") {
		t.Errorf("it votes: %+v", reply)
	}
	if f := d.answer("a", Request{Kind: Beat, Cluster: "test", Generation: 7}).Facts; f == nil || !strings.Contains(f.Problem, "damaged") || f.Voted != 8 {
		t.Errorf("its heartbeat says %+v", f)
	}
	if reply := d.answer("a", Request{Kind: Install, Cluster: "test", Record: &failed}); reply.Error != "" {
		t.Fatal(reply.Error)
	}
	back := failed.Clone()
	back.Generation, back.Servers[2].Status = 9, record.Active
	back.Pairs[0].DRS2 = "c"
	if reply := d.answer("a", Request{Kind: Install, Cluster: "test", Record: &back}); reply.Error != "" {
		t.Fatal(reply.Error)
	}
	after := failed.Clone()
	after.Generation = 10
	votedYes(t, d.answer("a", ask(Prepare, 1, after)))
	if f := d.answer("a", Request{Kind: Beat, Cluster: "test", Generation: 9}).Facts; f == nil || f.Problem != "" {
		t.Errorf("its heartbeat still says %+v", f)
	}
}
