package stream

import (
	"reflect"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hafs/lib/replication/change"
)

// A sender of an older version reads what it always read.
func TestResultsForOlderVersionsNameNoSteps(t *testing.T) {
	var r Result
	for i := range 40 {
		r.fail(i, ErrFrame)
	}
	old, err := cutResult(appendResult(nil, r, 3), 3)
	if err != nil {
		t.Fatal(err)
	}
	if old.Of != nil || len(old.Problems) != oldProblems || old.Count != 40 || len(old.Failed) != 40 {
		t.Errorf("%+v", old)
	}
	now, err := cutResult(appendResult(nil, r, Version), Version)
	if err != nil || !reflect.DeepEqual(now, r) {
		t.Errorf("%v\n%+v\n%+v", err, now, r)
	}
}

// A long call of the kernel is not taken for a replica that hangs.
func TestAReceiverThatWorksOnSaysSo(t *testing.T) {
	r := newReceiver(t)
	r.Before = func(step string) error {
		if step == "write" {
			time.Sleep(3 * busyEvery) // what is tested is time itself
		}
		return nil
	}
	conn, _ := dial(t, r)
	var frames atomic.Int64
	s, err := Open(conn, hello, func() { frames.Add(1) })
	must(t, err)
	defer s.Close()
	b, err := s.Begin()
	must(t, err)
	_, err = b.Step(OpWrite, Step{Path: "f", Entry: &change.Entry{Kind: change.File, Mode: 0o644, Xattrs: ""}})
	must(t, err)
	before := frames.Load()
	if result, err := b.End(nil); err != nil || result.Count > 0 {
		t.Fatal(result, err)
	}
	if said := frames.Load() - before; said < 3 { // the end, busy, the result
		t.Errorf("%d frames", said)
	}
}

// One file that cannot be read or written is not the end of the file system.
func TestAnIOErrorCostsItsFile(t *testing.T) {
	r := newReceiver(t)
	r.Workers = 1
	first := true
	r.Before = func(step string) error {
		if step == "write" && first {
			first = false
			return syscall.EIO
		}
		return nil
	}
	s := open(t, r)
	file := func(path string) Step {
		return Step{Path: path, Entry: &change.Entry{Kind: change.File, Mode: 0o644}}
	}
	result := batch(t, s, []Op{OpWrite, OpWrite, OpDelete}, []Step{file("a"), file("b"), {Path: "none"}})
	if result.Count != 1 || !result.Failed[result.Of[0]] || len(result.Failed) != 1 || result.Problems[0].Errno != syscall.EIO {
		t.Errorf("%+v", result)
	}
}
