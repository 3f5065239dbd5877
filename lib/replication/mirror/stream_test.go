package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"

	"hafs/lib/replication/stream"
)

// cutting is a stream that ends after so many bytes were written to it.
type cutting struct {
	io.ReadWriteCloser
	left int
	all  *atomic.Int64
}

func (c *cutting) Write(b []byte) (int, error) {
	c.all.Add(int64(len(b)))
	if len(b) <= c.left {
		c.left -= len(b)
		return c.ReadWriteCloser.Write(b)
	}
	n, _ := c.ReadWriteCloser.Write(b[:c.left])
	c.left = 0
	c.ReadWriteCloser.Close()
	return n, io.ErrClosedPipe
}

// Wherever the stream is cut, every file is whole, and the next session completes the replica (I7).
func TestStreamIsCutAnywhere(t *testing.T) {
	w := newWorld(t, "stream")
	w.sh(stateBefore + "; head -c 700000 /dev/urandom > large")
	receiver := &stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log()}
	s := w.stream(receiver)
	must(t, s.Apply(t.Context(), everything))
	s.Close()
	w.behind("cp -a . ../old")
	old := w.contents(w.replica)
	w.sh(stateAfter + "; head -c 800000 /dev/urandom > large")
	share := w.contents(w.share)

	var all atomic.Int64
	moves := []change.Change{{Kind: change.Look, Path: "moved-2"}, {Kind: change.Look, Path: "moved-file-2"}}
	attempt := func(limit int) error {
		s, dial := w.stream(receiver), w.dial(receiver)
		s.Open = func(ctx context.Context) (io.ReadWriteCloser, error) {
			conn, err := dial(ctx)
			return &cutting{conn, limit, &all}, err
		}
		defer s.Close()
		return s.Apply(t.Context(), append(moves, everything...))
	}
	restore := func() { w.behind("find . -mindepth 1 -delete; cp -a ../old/. .") }
	must(t, attempt(1<<30))
	w.same()
	length := int(all.Load())

	rnd := rand.New(rand.NewPCG(1, 2))
	places := []int{0, 1, 3, 4, 5}
	for range 60 {
		places = append(places, rnd.IntN(length))
	}
	for n := 40; n < 3000 && n < length; n += 37 { // most steps are in here
		places = append(places, n, length-n)
	}
	for _, limit := range places {
		restore()
		if err := attempt(limit); err == nil {
			t.Fatalf("cut after %d of %d bytes: no error", limit, length)
		}
		must(t, w.stream(receiver).once(t)) // takes over, so that the session before has ended
		w.behindIs(t, limit, old, share)
	}
}

// once opens a session and ends it again.
func (s *Stream) once(t *testing.T) error {
	defer s.Close()
	return s.Apply(t.Context(), nil)
}

// behindIs demands that every file is whole, and that a comparison heals the replica.
func (w *world) behindIs(t *testing.T, limit int, old, share map[string]string) {
	t.Helper()
	for path, content := range w.contents(w.replica) {
		if change.Temporary(path) {
			t.Errorf("cut after %d: %s was left", limit, path)
		} else if content != old[path] && content != share[path] {
			t.Errorf("cut after %d: %s is neither old nor new", limit, path)
		}
	}
	s := w.transport()
	must(t, s.Apply(t.Context(), everything))
	s.Close()
	w.same()
}

// A receiver that takes nothing any more holds up no other replica, is named, and a new session catches up.
func TestStreamThatHangs(t *testing.T) {
	w := newWorld(t, "directory")
	far := filepath.Join(t.TempDir(), "far")
	must(t, os.Mkdir(far, 0o755))
	must(t, os.WriteFile(filepath.Join(far, change.Marker), []byte(testMarker), 0o644))
	receiver := &stream.Receiver{Path: far, Cluster: "test", Log: w.log()}
	var hangs sync.RWMutex
	receiver.Allowed = func(string) error { hangs.RLock(); defer hangs.RUnlock(); return nil }
	w.more = map[string]Transport{"far": w.stream(receiver)}
	w.run()

	hangs.Lock()
	resume := sync.OnceFunc(hangs.Unlock)
	t.Cleanup(resume)
	for i := range 20 {
		w.sh(fmt.Sprintf("mkdir d%d; echo x > d%d/f", i, i))
		if a := w.mirror.Wait(Request{Copies: 1, Timeout: 10 * time.Second}); !a.OK {
			t.Fatalf("the other replica was held up: %+v", a)
		}
	}
	eventually(t, func() error {
		if s := w.status("far"); s.Stalled == 0 || s.Pending == 0 {
			return fmt.Errorf("it is not said that it does not answer: %+v", s)
		}
		return nil
	})
	resume()
	if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
		t.Fatalf("it did not catch up: %+v", a)
	}
}

// silent is a stream to nobody: it takes nothing and says nothing.
func silent(t *testing.T) io.ReadWriteCloser {
	here, there := net.Pipe()
	t.Cleanup(func() { there.Close() })
	return here
}

func TestHangingCallEndsWithItsContextAndWithClose(t *testing.T) {
	for name, end := range map[string]func(s *Stream, stop func()){
		"context": func(_ *Stream, stop func()) { stop() },
		"close":   func(s *Stream, _ func()) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "stream")
			s := w.transport().(*Stream)
			opened := make(chan struct{})
			s.Open = func(context.Context) (io.ReadWriteCloser, error) { close(opened); return silent(t), nil }
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := make(chan error, 1)
			go func() { done <- s.Apply(ctx, everything) }()
			<-opened
			end(s, stop)
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it still hangs")
			}
		})
	}
}

// A receiver that may not write any more refuses, and what it was sent is not called done (I2).
func TestFencedReceiver(t *testing.T) {
	for name, allowed := range map[string]int{"before the batch": 1, "before the answer": 2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "stream")
			asked := 0
			receiver := &stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log()}
			receiver.Allowed = func(string) error {
				if asked++; asked > allowed {
					return errors.New("generation 8 names another server")
				}
				return nil
			}
			receiver.Note = func(change.Position) error { t.Error("a position was noted"); return nil }
			s := w.stream(receiver)
			defer s.Close()
			w.sh("echo x > f")
			s.LeadsTo(change.Position{Number: 1})
			err := s.Apply(t.Context(), everything)
			if refusal := (Refusal{}); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "generation 8 names another server") {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(filepath.Join(w.replica, "f")); allowed == 1 && err == nil {
				t.Error("written all the same")
			}
		})
	}
}

// A long batch is refused while it is still being sent, with a large file as well as with many small ones.
func TestRefusedWhileSending(t *testing.T) {
	data := make([]byte, stream.SmallBytes)
	e := &change.Entry{Kind: change.File, Size: stream.SmallBytes, Mode: 0o644}
	for name, send := range map[string]func(b *stream.Batch) error{
		"small files": func(b *stream.Batch) error {
			_, err := b.Step(stream.OpWrite, stream.Step{Path: "f1", Entry: e, Data: data})
			return err
		},
		"large files": func(b *stream.Batch) error {
			if _, err := b.Step(stream.OpWriteLarge, stream.Step{Path: "f1", Entry: e}); err != nil {
				return err
			}
			return errors.Join(b.Data(0, data), b.Done(e))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "stream")
			var fenced atomic.Bool
			receiver := &stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log()}
			receiver.Allowed = func(string) error {
				if fenced.Load() {
					return errors.New("generation 8 names another server")
				}
				return nil
			}
			s := w.stream(receiver)
			defer s.Close()
			must(t, s.Apply(t.Context(), nil))
			batch, err := s.session.Begin()
			start := time.Now()
			for n := 0; err == nil && time.Since(start) < 10*time.Second; n++ {
				if err = send(batch); n == 10 {
					fenced.Store(true)
				}
			}
			if refusal := (stream.Refusal{}); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "generation 8") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The position that is noted is the one everything up to which is on the replica, and complete only after a comparison of everything in
// the same session (I3).
func TestPositionIsNotedOnceItIsReached(t *testing.T) {
	w := newWorld(t, "stream")
	var noted []change.Position
	receiver := &stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log()}
	var broken atomic.Bool
	receiver.Before = func(string) error {
		if broken.Load() {
			return unix.EDOM
		}
		return nil
	}
	receiver.Note = func(p change.Position) error { noted = append(noted, p); return nil }
	s := w.stream(receiver)
	defer s.Close()
	apply := func(number uint64, changes []change.Change) error {
		s.LeadsTo(change.Position{Generation: 3, Number: number, Complete: true})
		return s.Apply(t.Context(), changes)
	}
	f := []change.Change{{Kind: change.Look, Path: "f"}}
	w.sh("echo x > f")
	must(t, apply(1, f))
	must(t, apply(2, everything))
	must(t, apply(3, f))
	w.sh("echo longer > f")
	broken.Store(true)
	if err := apply(4, f); !errors.Is(err, unix.EDOM) {
		t.Errorf("got %v", err)
	}
	broken.Store(false)
	must(t, apply(5, f))
	s.drop()
	must(t, apply(6, f))
	must(t, apply(7, everything))
	if got := fmt.Sprint(noted); got != "[{3 2 true false} {3 3 true false} {3 5 true false} {3 7 true false}]" {
		t.Errorf("noted %s", got)
	}
}

// Of a large file only what differs is sent.
func TestLargeFileIsSentInPart(t *testing.T) {
	w := newWorld(t, "stream")
	var sent atomic.Int64
	s := w.transport().(*Stream)
	dial := s.Open
	s.Open = func(ctx context.Context) (io.ReadWriteCloser, error) {
		conn, err := dial(ctx)
		return &cutting{conn, 1 << 40, &sent}, err
	}
	defer s.Close()
	w.sh("head -c 5000000 /dev/urandom > large; echo x > other")
	must(t, s.Apply(t.Context(), everything))
	w.same()
	for name, edit := range map[string]string{
		"a byte within":          "printf x | dd of=large bs=1 seek=3000000 conv=notrunc status=none",
		"appended":               "head -c 100000 /dev/urandom >> large",
		"truncated":              "truncate -s 4000001 large",
		"replaced":               "cp large l2; printf y | dd of=l2 bs=1 seek=5 conv=notrunc status=none; mv l2 large; chmod 4711 large; chown 3:4 large; chmod 4711 large",
		"under another name too": "ln large another; printf z | dd of=large bs=1 seek=2000000 conv=notrunc status=none",
	} {
		t.Run(name, func(t *testing.T) {
			w.sh(edit)
			sent.Store(0)
			must(t, s.Apply(t.Context(), everything))
			w.same()
			if sent.Load() > 600_000 {
				t.Errorf("%d bytes were sent", sent.Load())
			}
			s.journal.distrust("large") // the next one has to ask for hashes
			s.journal.distrust("another")
			w.sh("printf q | dd of=large bs=1 seek=1500000 conv=notrunc status=none")
			sent.Store(0)
			must(t, s.Apply(t.Context(), everything))
			w.same()
			if sent.Load() > 600_000 {
				t.Errorf("%d bytes were sent of a file that nothing is known of", sent.Load())
			}
		})
	}
}

// After a restart nothing is known of contents: an edit that puts the old time back is found by reading, and a change of attributes writes
// nothing.
func TestEditThatHidesAfterARestart(t *testing.T) {
	local(t, func(t *testing.T, w *world) {
		w.sh("echo one > f; echo two > g; touch -d 2001-01-01 f g")
		first := w.transport()
		must(t, first.Apply(t.Context(), everything))
		first.Close()
		transport := w.transport()
		defer transport.Close()
		must(t, transport.Apply(t.Context(), everything)) // finds all of it equal
		var before, after unix.Stat_t
		must(t, unix.Stat(filepath.Join(w.replica, "g"), &before))
		w.sh("touch -r f ../time; echo ONE > f; touch -r ../time f; chmod 600 g")
		must(t, transport.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "f"}, {Kind: change.Look, Path: "g"}}))
		w.same()
		must(t, unix.Stat(filepath.Join(w.replica, "g"), &after))
		if before.Ino != after.Ino {
			t.Error("written again for a change of its mode")
		}
	})
}

func TestVerifyThroughAStream(t *testing.T) {
	w := newWorld(t, "stream")
	w.sh("mkdir d; echo one > d/a; ln d/a d/b; echo two > c; ln -s c l; touch -d 2001-01-01 c d/a")
	s := w.transport().(*Stream)
	defer s.Close()
	must(t, s.Apply(t.Context(), everything))
	if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
		t.Fatalf("found %v, %v", found, err)
	}
	w.behind("cp -p d/a x; mv x d/b; echo TWO > c; touch -r ../share/c c; ln -sfn d l; touch -h -r ../share/l l; touch extra; chmod 600 d/a")
	w.behind("touch -r ../share/d d; touch -r ../share .")
	found, err := s.Verify(t.Context())
	must(t, err)
	if got := fmt.Sprint(found); got != "[content c mode d/a link d/b extra extra target l]" {
		t.Errorf("found %s", got)
	}
}

// What is said of directories and files that the receiver cannot read is an error, and changes nothing there.
func TestUnreadableReplica(t *testing.T) {
	ours := func(yield func(listed) bool) {
		for _, path := range []string{"a", "a/x", "b", "b/y"} {
			kind := change.Directory
			if strings.Contains(path, "/") {
				kind = change.File
			}
			if !yield(listed{path, &change.Entry{Kind: kind}}) {
				return
			}
		}
	}
	directory := &change.Entry{Kind: change.Directory}
	theirs := func(yield func(stream.Found) bool) {
		for _, f := range []stream.Found{
			{Path: "a", Entry: directory}, {Path: "a", Problem: &stream.Problem{Text: "no"}}, {Path: "b", Entry: directory}, {Path: "b/z", Entry: directory}, {Path: "b/z/deep", Entry: directory},
		} {
			if !yield(f) {
				return
			}
		}
	}
	var got []string
	pairUp(ours, theirs, func(o listed, f stream.Found) {
		got = append(got, fmt.Sprintf("%s:%v,%v", o.path, o.entry != nil, f.Entry != nil))
	}, func(path string, err error) { got = append(got, fmt.Sprintf("%s: %v", path, err)) })
	if want := "a:true,true a: no b:true,true b/y:true,false b/z:false,true"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// Pairs of two listings are those of two maps.
func TestPairingAsOfMaps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		a, b := randomTree(rnd), randomTree(rnd)
		ours := func(yield func(listed) bool) {
			for _, path := range sorted(a) {
				if !yield(listed{path, a[path]}) {
					return
				}
			}
		}
		theirs := func(yield func(stream.Found) bool) {
			for _, path := range sorted(b) {
				if !yield(stream.Found{Path: path, Entry: b[path]}) {
					return
				}
			}
		}
		got, want := map[string]string{}, map[string]string{}
		pairUp(ours, theirs, func(o listed, f stream.Found) { got[o.path] = fmt.Sprint(o.entry, f.Entry) }, func(string, error) {})
		for path := range b {
			if dir := parent(path); dir == "." || a[path] != nil || isDirectory(a[dir]) {
				want[path] = fmt.Sprint(a[path], b[path])
			}
		}
		for path := range a {
			want[path] = fmt.Sprint(a[path], b[path])
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	}
}

// randomTree is a set of paths with all directories above them.
func randomTree(rnd *rand.Rand) map[string]*change.Entry {
	all := map[string]*change.Entry{}
	names := []string{"a", "a-", "a.", "b", "\x01", "\xff"}
	for range rnd.IntN(12) {
		path := "."
		for range 1 + rnd.IntN(3) {
			if path != "." {
				all[path] = &change.Entry{Kind: change.Directory}
			}
			path = change.Join(path, names[rnd.IntN(len(names))])
		}
		if all[path] == nil {
			all[path] = &change.Entry{Kind: change.File, Size: rnd.Int64N(9)}
		}
	}
	return all
}

func sorted(all map[string]*change.Entry) []string {
	return slices.SortedFunc(maps.Keys(all), stream.Compare)
}

// What somebody waits for is named to the replica.
func TestWhatIsToBeDurable(t *testing.T) {
	s := &Stream{Sync: true}
	look, waited := change.Change{Kind: change.Look, Path: "a"}, change.Change{Kind: change.Look, Path: "b", Waited: true}
	barrier := change.Change{Kind: change.Barrier, Path: "x"}
	for _, c := range []struct {
		changes []change.Change
		want    string
	}{
		{[]change.Change{look}, "[]"},
		{[]change.Change{look, waited}, "[b]"},
		{[]change.Change{waited, barrier}, "[.]"},
		{[]change.Change{{Kind: change.Look, Path: strings.Repeat("x", durableBytes+1), Waited: true}}, "[.]"},
	} {
		if got := fmt.Sprint(s.durable(c.changes)); got != c.want {
			t.Errorf("%v: %s, not %s", c.changes, got, c.want)
		}
	}
}

// A server that becomes FS may have to wait for the replicas of its replicas from then on: the session in which that was not said ends.
func TestWhoWaitsChanges(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	through := false
	s.Through = func() bool { return through }
	must(t, s.Apply(t.Context(), everything))
	through = true
	if err := s.Apply(t.Context(), nil); !errors.Is(err, errAnew) {
		t.Errorf("got %v", err)
	}
	must(t, s.Apply(t.Context(), everything))
	w.same()
}

// whole is a stream to a receiver whose replica was whole when it was asked.
func (w *world) whole() *Stream {
	r := &stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log()}
	r.Position = func() change.Position { return change.Position{Generation: 1, Complete: true} }
	return w.stream(r)
}

// A session that ends while nothing is written is missed at once: what happened to the replica meanwhile is undone without any change.
func TestSessionEndsWhileNothingIsWritten(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.whole()
	w.made = s
	w.run()
	w.sh("echo precious > f")
	w.settle()
	w.behind("rm f")
	away := make(chan struct{})
	s.busy.Lock()
	dial := s.Open
	s.Open = func(ctx context.Context) (io.ReadWriteCloser, error) { <-away; return dial(ctx) }
	s.busy.Unlock()
	(*w.far.Load()).Close()
	eventually(t, func() error {
		if s := w.status("r"); s.State != Filling || !s.Counts || s.Failures > 0 {
			return fmt.Errorf("it is not said that it is compared: %+v", s)
		}
		return nil
	})
	close(away)
	eventually(t, func() error {
		if s := w.status("r"); s.State != Complete || s.Failures > 0 || s.Pending > 0 {
			return fmt.Errorf("not compared: %+v", s)
		}
		return nil
	})
	w.same()
}

// A change that comes when the session has just ended counts only once everything was compared.
func TestSessionEndsBeforeAChange(t *testing.T) {
	w := newWorld(t, "stream")
	w.made = w.whole()
	w.run()
	w.sh("echo precious > f")
	w.settle()
	for i := range 20 {
		w.behind("rm f")
		(*w.far.Load()).Close()
		w.sh("echo x >> g")
		if i%2 == 0 {
			must(t, w.mirror.Settle(t.Context(), []string{"g"}, 1))
		} else if a := w.mirror.Wait(Request{Timeout: 10 * time.Second}); !a.OK {
			t.Fatalf("%+v", a)
		}
		if _, err := os.Stat(filepath.Join(w.replica, "f")); err != nil {
			t.Fatalf("the change counted on a replica that was not compared: %v", err)
		}
	}
}

// Whoever ends a session is not told that it was lost, nor is who heard of it from a call.
func TestSessionThatThisSideEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *Stream, far io.Closer){
		"close": func(_ *testing.T, s *Stream, _ io.Closer) { s.Close() },
		"another greeting": func(t *testing.T, s *Stream, _ io.Closer) {
			s.Through = func() bool { return true }
			if err := s.Apply(t.Context(), nil); !errors.Is(err, errAnew) {
				t.Errorf("got %v", err)
			}
		},
		"a call that fails": func(t *testing.T, s *Stream, far io.Closer) {
			err := s.call(t.Context(), func(context.Context) error {
				far.Close()
				<-s.session.Ended()
				_, err := s.session.Look([]string{"."}, false)
				return err
			})
			if !errors.Is(err, stream.ErrEnded) {
				t.Errorf("got %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "stream")
				s := w.transport().(*Stream)
				s.WhenLost(func() { t.Error("lost") })
				must(t, s.Apply(t.Context(), everything))
				end(t, s, *w.far.Load())
				synctest.Wait()
			})
		})
	}
}

// Whoever verifies a replica does not feed it: that the session ended then is told.
func TestSessionEndsWhileItIsVerified(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	through, lost := false, 0
	s.Through = func() bool { return through }
	s.WhenLost(func() { lost++ })
	must(t, s.Apply(t.Context(), everything))
	if _, err := s.Verify(t.Context()); err != nil || lost > 0 {
		t.Errorf("lost %d times: %v", lost, err)
	}
	through = true
	if _, err := s.Verify(t.Context()); !errors.Is(err, errAnew) || lost != 1 {
		t.Errorf("lost %d times: %v", lost, err)
	}
}

// A replica that was filled has a whole copy from then on, also while its server cannot be reached: a change must not be acknowledged without it.
func TestAReplicaThatWasFilledIsWhole(t *testing.T) {
	w := newWorld(t, "stream")
	w.sh("echo x > file")
	var noted change.Position
	receiver := &stream.Receiver{
		Path: w.replica, Cluster: "test", Log: w.log(),
		Position: func() change.Position { return noted }, Note: func(p change.Position) error { noted = p; return nil },
	}
	s := w.stream(receiver)
	stands := func(want Standing) {
		t.Helper()
		if got := s.Standing(); got != want {
			t.Errorf("standing %d, not %d", got, want)
		}
	}
	stands(Unheard)
	must(t, s.Apply(t.Context(), nil))
	stands(Unfilled)
	s.LeadsTo(change.Position{Generation: 2, Number: 3, Complete: true})
	must(t, s.Apply(t.Context(), everything))
	stands(Whole)
	s.Close()
	stands(Whole)
	noted = change.Position{}
	must(t, s.Apply(t.Context(), nil))
	stands(Unfilled)
	s.Close()
}

// Clients wait until it is known whether a replica is whole, and not for what it lacks.
func TestAReplicaIsKnownToBeWholeByItsGreeting(t *testing.T) {
	w := newWorld(t, "stream")
	w.sh("echo x > file")
	proceed := make(chan struct{})
	receiver := &stream.Receiver{
		Path: w.replica, Cluster: "test", Log: w.log(),
		Position: func() change.Position { return change.Position{Generation: 1, Complete: true} },
		Before:   func(string) error { <-proceed; return nil },
	}
	s := w.stream(receiver)
	m := &Mirror{Share: s.Share, Pace: Pace{Every: time.Hour}, Log: w.log(), Transport: func(Wanted) Transport { return s }}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	defer close(proceed)
	m.Start(ctx)
	m.Keep(2, []Wanted{{Name: "D"}})
	soon, cancel := context.WithTimeout(ctx, greetingPatience/2)
	defer cancel()
	must(t, m.AnyWhole(soon))
}

// A replica of a share that is not whole is not whole either, whatever it has; it hears when the share is.
func TestReplicaOfAShareThatIsNotWhole(t *testing.T) {
	w := newWorld(t, "stream")
	w.sh("echo x > file")
	noted := make(chan change.Position, 100)
	s := w.stream(&stream.Receiver{Path: w.replica, Cluster: "test", Log: w.log(), Note: func(p change.Position) error { noted <- p; return nil }})
	var whole atomic.Bool
	s.Whole = whole.Load
	m := &Mirror{Share: s.Share, Pace: Pace{Every: time.Hour}, Log: w.log(), Transport: func(Wanted) Transport { return s }}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	m.Start(ctx)
	m.Keep(2, []Wanted{{Name: "D"}})
	if p := <-noted; p.Complete || p.Generation != 2 {
		t.Errorf("noted %+v", p)
	}
	eventually(t, func() error {
		if state := m.Status().Replicas[0].State; state != Complete {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
	whole.Store(true)
	m.SayWhole()
	if p := <-noted; !p.Complete {
		t.Errorf("noted %+v", p)
	}
}

// Two directories that change places while they are copied are known by their new names, so that a move of one takes the other nowhere.
func TestDirectoriesChangePlacesWhileTheyAreCopied(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	must(t, s.Apply(t.Context(), everything))
	w.sh("mkdir b d; touch -d 2001-01-01 b d")
	batch, err := s.session.Begin()
	must(t, err)
	sent := sending{share: w.root, journal: s.journal, batch: batch, progress: func() {}, unsent: map[string]bool{}}
	for _, op := range []Op{MakeDirectory, Finish} {
		for _, path := range []string{"b", "d"} {
			e, err := w.root.Lstat(path)
			must(t, err)
			must(t, sent.all([]Step{{Op: op, Path: path, Source: e}}))
		}
		if op == MakeDirectory {
			must(t, unix.Renameat2(unix.AT_FDCWD, w.path("b"), unix.AT_FDCWD, w.path("d"), unix.RENAME_EXCHANGE))
		}
	}
	result, err := batch.End(nil)
	must(t, err)
	sent.noted(result)
	w.sh("mv b c")
	must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "b"}, {Kind: change.Look, Path: "c"}, {Kind: change.Look, Path: "."}}))
	w.same()
}
