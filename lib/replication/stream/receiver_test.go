package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

var hello = Hello{Cluster: "test", Name: "L1", Generation: 4, Marker: []byte("cluster: test\n")}

func newReceiver(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{Path: filepath.Join(t.TempDir(), "replica"), Cluster: "test"}
	must(t, os.Mkdir(r.Path, 0o755))
	must(t, os.WriteFile(filepath.Join(r.Path, change.Marker), hello.Marker, 0o644))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(r.Path), "outside"), []byte("untouched"), 0o644))
	r.Redo = filepath.Join(filepath.Dir(r.Path), "state", "redo")
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial serves one session. ended gives what Serve returned.
func dial(t *testing.T, r *Receiver) (conn net.Conn, ended chan error) {
	ctx, stop := context.WithCancel(context.Background())
	here, there := net.Pipe()
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); ended <- r.Serve(ctx, "L1", there) }()
	t.Cleanup(func() { stop(); <-done })
	return here, ended
}

func open(t *testing.T, r *Receiver) *Session {
	t.Helper()
	conn, _ := dial(t, r)
	s, err := Open(conn, hello, nil)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func file(content string) Step {
	return Step{
		Entry: &change.Entry{Kind: change.File, Size: int64(len(content)), Mode: 0o640, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Mtime: 12345},
		Data:  []byte(content),
	}
}

// batch sends steps and demands that the result is without problem.
func batch(t *testing.T, s *Session, ops []Op, steps []Step) Result {
	t.Helper()
	b, err := s.Begin(".")
	must(t, err)
	for i, step := range steps {
		if _, err := b.Step(ops[i], step); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.End(nil)
	must(t, err)
	return r
}

// Greetings that are refused say why on both sides, and nothing is touched.
func TestGreetingsThatAreRefused(t *testing.T) {
	other, unmarked := hello, hello
	other.Marker, unmarked.Marker = []byte("cluster: other\n"), nil
	foreign := hello
	foreign.Cluster = "other"
	future := appendHello(nil, hello)
	future[1], future[3] = 9, 9
	for _, c := range []struct{ frame, reason string }{
		{string(appendFrame(nil, kindHello, future)), "the sender speaks versions 9 to 9 of the stream, the receiver 2 to 5"},
		{string(appendFrame(nil, kindHello, appendHello(nil, foreign))), `the share is of cluster "other", the replica of "test"`},
		{string(appendFrame(nil, kindHello, appendHello(nil, other))), `the replica's marker says "cluster: test\n", the share's "cluster: other\n"`},
		{string(appendFrame(nil, kindHello, appendHello(nil, unmarked))), "the share has no marker"},
		{string(appendFrame(nil, kindBegin, []byte{0})), "the first one is no greeting"},
		{strings.Replace(string(appendFrame(nil, kindHello, appendHello(nil, hello))), "L1", "L2", 1), "wrong checksum"},
		{"\xff\xff\xff\xff", "a length of 4294967295 bytes"},
	} {
		conn, ended := dial(t, newReceiver(t))
		go io.WriteString(conn, c.frame)
		f, err := readFrame(bufio.NewReader(conn))
		if err != nil || f.kind != kindRefusal || !strings.Contains(refusalText(f.body), c.reason) {
			t.Errorf("%q: answered %d %q, %v", c.reason, f.kind, f.body, err)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%q: Serve says %v", c.reason, err)
		}
	}
}

// A sender of a release before this one reads the position as it knows it.
func TestAPositionForAnOlderSender(t *testing.T) {
	r := newReceiver(t)
	r.Position = func() change.Position { return change.Position{Generation: 2, Number: 3, Complete: true, Exact: true} }
	for version, exact := range map[byte]bool{4: false, Version: true} {
		greeting := appendHello(nil, hello)
		greeting[1] = version
		conn, _ := dial(t, r)
		go conn.Write(appendFrame(nil, kindHello, greeting))
		f, err := readFrame(bufio.NewReader(conn))
		if err != nil {
			t.Fatal(err)
		}
		if w, err := cutWelcome(f.body); err != nil || w.Position.Exact != exact || !w.Position.Complete {
			t.Errorf("version %d: %+v, %v", version, w, err)
		}
	}
}

func TestReceiverOfAnotherVersionOrCluster(t *testing.T) {
	newer := appendWelcome(nil, Welcome{Version: 9, Cluster: "test"})
	for reason, welcome := range map[string][]byte{
		"the receiver speaks version 9 of the stream, the sender 2 to 5": newer,
		`the replica is of cluster "other", the share of "test"`:         appendWelcome(nil, Welcome{Version: Version, Cluster: "other"}),
	} {
		here, there := net.Pipe()
		go func() {
			_, _ = readFrame(there)
			_, _ = there.Write(appendFrame(nil, kindWelcome, welcome))
		}()
		if _, err := Open(here, hello, nil); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("got %v", err)
		}
	}
}

// Nothing outside of the replica is reached, whatever is sent and whatever was planted.
func TestNothingOutsideIsTouched(t *testing.T) {
	for _, path := range []string{"../outside", "/etc/passwd", "d/../../outside", "..", "d/.."} {
		for op := range lastOp + 1 {
			r := newReceiver(t)
			s := open(t, r)
			b, err := s.Begin()
			must(t, err)
			step := file("x")
			step.Path, step.From = path, "f"
			_, err = b.Step(op, step)
			if err == nil {
				_, err = b.End(nil)
			}
			if refusal := (Refusal{}); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "path") {
				t.Errorf("step %d on %s: %v", op, path, err)
			}
			s.Close()
			untouched(t, r)
		}
	}
	r := newReceiver(t)
	must(t, os.Symlink("..", filepath.Join(r.Path, "up")))
	must(t, os.Symlink("../outside", filepath.Join(r.Path, "out")))
	s := open(t, r)
	write, attributes, link := file("x"), file("x"), file("x")
	write.Path, link.Path, link.From = "up/outside", "hard", "up/outside"
	attributes.Path, attributes.Data = "up/outside", nil
	link.Data = nil
	result := batch(t, s, []Op{OpWrite, OpAttributes, OpLink, OpDelete}, []Step{write, attributes, link, {Path: "up/outside"}})
	if result.Count != 3 || result.Done(0) || result.Done(1) || result.Done(2) || !result.Done(3) {
		t.Errorf("%+v", result)
	}
	attributes.Path = "out"
	if result := batch(t, s, []Op{OpAttributes}, []Step{attributes}); result.Count != 1 {
		t.Errorf("%+v", result)
	}
	found, err := s.Look([]string{"up/outside", "out", "up"}, true)
	must(t, err)
	if found[0].Entry != nil || found[1].Entry.Kind != change.Symlink || found[1].Sum != nil || found[2].Entry.Target != ".." {
		t.Errorf("%+v", found)
	}
	if moved, err := s.Move("up/outside", "here"); moved || err != nil {
		t.Errorf("moved %v, %v", moved, err)
	}
	for f, err := range s.List(Listing{Directory: "up", Sums: true}, nil) {
		t.Errorf("listed %+v, %v", f, err)
	}
	b, err := s.Begin()
	must(t, err)
	if blocks, err := b.Blocks("up/outside"); err != nil || len(blocks) > 0 {
		t.Errorf("hashes %v, %v", blocks, err)
	}
	write.Path = "out" // the link itself is replaced
	write.Data = nil
	_, err = b.Step(OpWriteLarge, write)
	must(t, err)
	must(t, b.Data(0, []byte("x")))
	must(t, b.Done(write.Entry))
	if result, err := b.End(nil); err != nil || result.Count > 0 {
		t.Errorf("%+v, %v", result, err)
	}
	untouched(t, r)
}

func untouched(t *testing.T, r *Receiver) {
	t.Helper()
	outside := filepath.Join(filepath.Dir(r.Path), "outside")
	text, err := os.ReadFile(outside)
	st, statErr := os.Stat(outside)
	if err != nil || statErr != nil || string(text) != "untouched" || st.Mode().Perm() != 0o644 {
		t.Errorf("outside is %q, %v, %v", text, st.Mode(), err)
	}
}

// A replica that becomes another one in the middle of a session is not touched any more.
func TestReplicaThatVanishes(t *testing.T) {
	for name, vanish := range map[string]func(r *Receiver) error{
		"marker gone":    func(r *Receiver) error { return os.Remove(filepath.Join(r.Path, change.Marker)) },
		"marker another": func(r *Receiver) error { return os.WriteFile(filepath.Join(r.Path, change.Marker), []byte("x"), 0o644) },
		"moved":          func(r *Receiver) error { return os.Rename(r.Path, r.Path+".away") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			s := open(t, r)
			must(t, vanish(r))
			b, err := s.Begin()
			if err == nil {
				step := file("x")
				step.Path = "f"
				if _, err = b.Step(OpWrite, step); err == nil {
					_, err = b.End(nil)
				}
			}
			if refusal := (Refusal{}); !errors.As(err, &refusal) {
				t.Errorf("got %v", err)
			}
			for _, dir := range []string{r.Path, r.Path + ".away"} {
				if _, err := os.Stat(filepath.Join(dir, "f")); err == nil {
					t.Error("written all the same")
				}
			}
		})
	}
}

// Whoever feeds a replica hears that it is gone, or another one, also when nothing changes.
func TestReplicaThatVanishesWhileNothingChanges(t *testing.T) {
	var allowed atomic.Bool
	for name, vanish := range map[string]func(r *Receiver) error{
		"moved": func(r *Receiver) error { return os.Rename(r.Path, r.Path+".away") },
		"covered": func(r *Receiver) error {
			return errors.Join(os.Rename(r.Path, r.Path+".away"), os.Mkdir(r.Path, 0o755), os.WriteFile(filepath.Join(r.Path, change.Marker), hello.Marker, 0o644))
		},
		"of another server": func(r *Receiver) error { allowed.Store(false); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			allowed.Store(true)
			r := newReceiver(t)
			r.Allowed = func(string) error {
				if !allowed.Load() {
					return errors.New("generation 8 names another server")
				}
				return nil
			}
			conn, ended := dial(t, r)
			_, err := Open(conn, hello, nil)
			must(t, err)
			must(t, vanish(r))
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the session goes on")
			}
		})
	}
}

// underWay opens a session that is within a batch until proceed is closed.
func underWay(t *testing.T, r *Receiver) (proceed chan struct{}) {
	t.Helper()
	proceed = make(chan struct{})
	entered, first := make(chan struct{}), true
	r.Before = func(step string) error {
		if step == "rename" && first {
			first = false
			close(entered)
			<-proceed
		}
		return nil
	}
	s := open(t, r)
	b, err := s.Begin()
	must(t, err)
	step := file("old")
	step.Path = "f"
	_, err = b.Step(OpWrite, step)
	must(t, err)
	go func() { _, _ = b.End(nil) }()
	<-entered
	return proceed
}

// A server that stops being a replica waits until nothing of the last session is under way.
func TestEndWaitsForWhatIsUnderWay(t *testing.T) {
	r := newReceiver(t)
	must(t, r.End(t.Context()))
	proceed := underWay(t, r)
	ended := make(chan error, 1)
	go func() { ended <- r.End(t.Context()) }()
	select {
	case <-ended:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	close(proceed)
	must(t, <-ended)
	must(t, r.End(t.Context()))
}

// A new session ends the one before, and begins when nothing of that is under way any more.
func TestNewSessionTakesOver(t *testing.T) {
	r := newReceiver(t)
	proceed := underWay(t, r)
	opened := make(chan *Session, 1)
	conn, _ := dial(t, r)
	go func() {
		s, err := Open(conn, hello, nil)
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	select {
	case <-opened:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	close(proceed)
	s := <-opened
	defer s.Close()
	found, err := s.Look([]string{"f"}, false)
	if err != nil || found[0].Entry == nil {
		t.Errorf("what was under way is not seen: %+v, %v", found, err)
	}
}

// Two processes do not work on a replica at once.
func TestAnotherProcessAtWork(t *testing.T) {
	r := newReceiver(t)
	s := open(t, r)
	conn, _ := dial(t, &Receiver{Path: r.Path, Cluster: "test"})
	if _, err := Open(conn, hello, nil); err == nil || !strings.Contains(err.Error(), "another session still works") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Look([]string{"."}, false); err != nil {
		t.Error(err)
	}
}

// A listing of very many files needs many frames, is in order and complete.
func TestLongListing(t *testing.T) {
	r := newReceiver(t)
	want := []string{change.Marker}
	for i := range 40 {
		dir := fmt.Sprintf("directory-%02d", i)
		must(t, os.Mkdir(filepath.Join(r.Path, dir), 0o755))
		want = append(want, dir)
		for j := range 100 {
			name := fmt.Sprintf("%s/a-rather-long-name-of-a-file-%02d", dir, j)
			must(t, os.WriteFile(filepath.Join(r.Path, name), nil, 0o644))
			want = append(want, name)
		}
	}
	s := open(t, r)
	var got []string
	for f, err := range s.List(Listing{Directory: "."}, nil) {
		must(t, err)
		got = append(got, f.Path)
	}
	var parts []string // the same from path to path
	for more, after := true, ""; more; {
		for f, err := range s.List(Listing{Directory: ".", After: after, Limit: 7}, &more) {
			must(t, err)
			parts, after = append(parts, f.Path), f.Path
		}
	}
	if strings.Join(parts, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d paths in parts, not %d", len(parts), len(want))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d paths, not %d", len(got), len(want))
	}
	if found, err := s.Look(want, false); err != nil || len(found) != len(want) {
		t.Errorf("%d found: %v", len(found), err)
	}
}

// A large file that changes while it is sent starts over, one that cannot be read is given up, and what is too short is not taken.
func TestLargeFiles(t *testing.T) {
	r := newReceiver(t)
	s := open(t, r)
	send := func(act func(b *Batch, e *change.Entry)) Result {
		t.Helper()
		b, err := s.Begin()
		must(t, err)
		step := file(strings.Repeat("x", 1000))
		step.Path, step.Data = "f", nil
		_, err = b.Step(OpWriteLarge, step)
		must(t, err)
		act(b, step.Entry)
		result, err := b.End(nil)
		must(t, err)
		return result
	}
	content := func() string { text, _ := os.ReadFile(filepath.Join(r.Path, "f")); return string(text) }
	zeros := make([]byte, 1000)

	if result := send(func(b *Batch, _ *change.Entry) { must(t, b.Data(0, zeros)); must(t, b.GiveUp()) }); result.Count > 0 || content() != "" {
		t.Errorf("given up: %+v", result)
	}
	if result := send(func(b *Batch, e *change.Entry) { must(t, b.Data(0, zeros[:999])); must(t, b.Done(e)) }); result.Count != 1 || content() != "" {
		t.Errorf("too short: %+v", result)
	}
	again := func(b *Batch, e *change.Entry) {
		must(t, b.Data(0, bytes.Repeat([]byte("x"), 5000)))
		must(t, b.session.write(kindAgain))                  // as version 2 does
		must(t, b.Data(500, bytes.Repeat([]byte("y"), 500))) // what was sent before is forgotten
		must(t, b.Done(e))
	}
	if result := send(again); result.Count > 0 || content() != string(zeros[:500])+strings.Repeat("y", 500) {
		t.Errorf("again: %+v", result)
	}
	names, err := filepath.Glob(filepath.Join(r.Path, ".hafs-tmp.*"))
	if err != nil || len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

// A file system that takes no hard links gets a copy under each name.
func TestReplicaWithoutHardLinks(t *testing.T) {
	r := newReceiver(t)
	r.Before = func(step string) error {
		if step == "link" {
			return unix.EMLINK
		}
		return nil
	}
	s := open(t, r)
	write := file("content")
	write.Path = "a"
	if result := batch(t, s, []Op{OpWrite, OpLink}, []Step{write, {Path: "b", From: "a", Entry: write.Entry}}); result.Count > 0 {
		t.Errorf("%+v", result)
	}
	found, err := s.Look([]string{"a", "b"}, true)
	must(t, err)
	a, b := found[0], found[1]
	if b.Sum == nil || *a.Sum != *b.Sum || a.Entry.Mtime != b.Entry.Mtime || a.Entry.Mode != b.Entry.Mode || a.Entry.Ino == b.Entry.Ino {
		t.Errorf("%+v, %+v", a, b)
	}
}

// Whoever is refused ends nobody else's session.
func TestStrangerEndsNothing(t *testing.T) {
	r := newReceiver(t)
	s := open(t, r)
	stranger := hello
	stranger.Cluster = "other"
	conn, _ := dial(t, r)
	if _, err := Open(conn, stranger, nil); err == nil {
		t.Error("not refused")
	}
	if _, err := s.Look([]string{"."}, false); err != nil {
		t.Error(err)
	}
}

// What another name would be made for was not written: the old file does not get it.
func TestNoNameForAFileThatCouldNotBeWritten(t *testing.T) {
	r := newReceiver(t)
	must(t, os.WriteFile(filepath.Join(r.Path, "a"), []byte("old"), 0o644))
	r.Before = func(step string) error {
		if step == "rename" {
			return unix.EDOM
		}
		return nil
	}
	s := open(t, r)
	write := file("new")
	write.Path, write.Entry.Nlink = "a", 2
	b, err := s.Begin()
	must(t, err)
	_, err = b.Step(OpWrite, write)
	must(t, err)
	_, err = b.Step(OpLink, Step{Path: "b", From: "a", Entry: write.Entry})
	must(t, err)
	result, err := b.End(&change.Position{})
	must(t, err)
	if result.Count != 1 || result.Done(0) || result.Done(1) || !errors.Is(result.Errs()[0], unix.EDOM) {
		t.Errorf("%+v", result)
	}
}

// What came is told to whoever passes it on, and with Through the answer waits for that.
func TestBatchesArePassedOn(t *testing.T) {
	r := newReceiver(t)
	let := make(chan error)
	var told []string
	r.Passed = func(ctx context.Context, paths []string, through bool) error {
		told = append(told, fmt.Sprint(paths, through))
		if !through {
			return nil
		}
		return <-let
	}
	batch(t, open(t, r), []Op{OpWrite}, []Step{named("a", file("x"))})
	conn, _ := dial(t, r)
	h := hello
	h.Through = true
	s, err := Open(conn, h, nil)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	answered := make(chan error, 1)
	go func() {
		b, err := s.Begin(".")
		if err == nil {
			_, err = b.Step(OpDelete, Step{Path: "a"})
		}
		if err == nil {
			_, err = b.End(nil)
		}
		answered <- err
	}()
	let <- nil
	must(t, <-answered)
	go func() { let <- errors.New("there is none") }()
	var refused Refusal
	if _, err := s.Move(".hafs-share", "b"); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "pass it on: there is none") {
		t.Errorf("got %v", err)
	}
	if got := fmt.Sprint(told); got != "[[a] false [a .] true [.hafs-share b] true]" {
		t.Errorf("told %s", got)
	}
}

func named(path string, s Step) Step {
	s.Path = path
	return s
}

// syncing counts what is synced by itself, and how often the file system is.
type syncing struct{ each, all atomic.Int64 }

func (c *syncing) before(step string) error {
	switch step {
	case "sync":
		c.each.Add(1)
	case "sync all":
		c.all.Add(1)
	}
	return nil
}

// sent sends steps as one batch, and says what was synced for it.
func (c *syncing) sent(t *testing.T, s *Session, durable []string, ops []Op, steps []Step) string {
	t.Helper()
	c.each.Store(0)
	c.all.Store(0)
	b, err := s.Begin(durable...)
	must(t, err)
	for i, step := range steps {
		_, err := b.Step(ops[i], step)
		must(t, err)
	}
	if result, err := b.End(nil); err != nil || result.Count > 0 {
		t.Errorf("%+v, %v", result, err)
	}
	return fmt.Sprintf("%d files, %d times all", c.each.Load(), c.all.Load())
}

func files(n int) (ops []Op, steps []Step) {
	for i := range n {
		ops, steps = append(ops, OpWrite), append(steps, named(fmt.Sprintf("f%d", i), file("x")))
	}
	return ops, steps
}

// What somebody waits for is on the disk before the answer, whichever batch brought it; nothing else is.
func TestWhatIsWaitedForIsSynced(t *testing.T) {
	r := newReceiver(t)
	var count syncing
	r.Before = count.before
	s := open(t, r)
	directory := Step{Entry: &change.Entry{Kind: change.Directory}}
	attributes := Step{Entry: &change.Entry{Kind: change.File, Size: 1, Mode: 0o600}}
	for _, c := range []struct {
		name    string
		durable []string
		ops     []Op
		steps   []Step
		want    string
	}{
		{"one before this receiver may have brought more", []string{"."}, []Op{OpMakeDirectory}, []Step{named("d", directory)}, "0 files, 1 times all"},
		{"nobody waits", nil, []Op{OpWrite, OpWrite}, []Step{named("d/a", file("x")), named("b", file("x"))}, "0 files, 0 times all"},
		{"a new one, and its name", []string{"c"}, []Op{OpWrite, OpWrite}, []Step{named("c", file("x")), named("e", file("x"))}, "2 files, 0 times all"},
		{"of a batch before", []string{"d/a"}, nil, nil, "2 files, 0 times all"},
		{"synced already", []string{"d/a", "c"}, nil, nil, "0 files, 0 times all"},
		{"attributes alone", []string{"d/a"}, []Op{OpAttributes}, []Step{named("d/a", attributes)}, "2 files, 0 times all"},
		{"a delete", []string{"c"}, []Op{OpDelete}, []Step{{Path: "c"}}, "1 files, 0 times all"},
		{"everything: b, e, and the directory they are in", []string{"."}, nil, nil, "3 files, 0 times all"},
		{"nothing is left", []string{"."}, nil, nil, "0 files, 0 times all"},
	} {
		if got := count.sent(t, s, c.durable, c.ops, c.steps); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
	}
	count.sent(t, s, nil, []Op{OpMakeDirectory, OpWrite}, []Step{named("d2", directory), named("d/f", file("x"))})
	if moved, err := s.Move("d", "d2/d"); !moved || err != nil {
		t.Fatal(moved, err)
	}
	if got := count.sent(t, s, []string{"d2/d/f"}, nil, nil); got != "2 files, 0 times all" {
		t.Errorf("moved meanwhile: %s", got)
	}
}

// Many files are not synced one by one, and that they are not known any more is remembered.
func TestManyFilesAreSyncedTogether(t *testing.T) {
	r := newReceiver(t)
	var count syncing
	r.Before = count.before
	s := open(t, r)
	all := []string{"."}
	count.sent(t, s, all, nil, nil)
	ops, steps := files(2 * oneByOne)
	if got := count.sent(t, s, all, ops, steps); !strings.HasSuffix(got, " 1 times all") || count.each.Load() > oneByOne {
		t.Errorf("in a barrier's own batch: %s", got)
	}
	count.sent(t, s, nil, ops, steps)
	if got := count.sent(t, s, all, nil, nil); got != "0 files, 1 times all" {
		t.Errorf("in a batch before: %s", got)
	}
	ops, steps = files(maxUnsynced + 1)
	count.sent(t, s, nil, ops, steps)
	if got := count.sent(t, s, []string{"f0"}, nil, nil); got != "2 files, 0 times all" {
		t.Errorf("one of too many: %s", got)
	}
	for _, want := range []string{"0 files, 1 times all", "0 files, 0 times all"} {
		if got := count.sent(t, s, all, nil, nil); got != want {
			t.Errorf("all of too many: %s, not %s", got, want)
		}
	}
}

// What a batch brought that broke off is not taken for synced; nor is what is on a replica that others may have filled.
func TestWhatIsNotTakenForSynced(t *testing.T) {
	r := newReceiver(t)
	var count syncing
	r.Before = count.before
	position := change.Position{Complete: true}
	r.Position = func() change.Position { return position }
	s := open(t, r)
	count.sent(t, s, []string{"."}, nil, nil)
	b, err := s.Begin()
	must(t, err)
	_, err = b.Step(OpWrite, named("a", file("x")))
	must(t, err)
	must(t, s.flush())
	s.Close()
	s = open(t, r)
	if got := count.sent(t, s, []string{"a"}, nil, nil); got != "2 files, 0 times all" {
		t.Errorf("it broke off: %s", got)
	}
	position.Complete = false
	s = open(t, r)
	if got := count.sent(t, s, []string{"."}, nil, nil); got != "0 files, 1 times all" {
		t.Errorf("others may have filled it: %s", got)
	}
}
