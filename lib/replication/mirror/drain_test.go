package mirror

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// drainable is a mirror that is asked over its socket, and whether its clients are let in.
func drainable(t *testing.T) (w *world, socket string, open *atomic.Bool) {
	t.Helper()
	w = newWorld(t, "directory")
	w.run()
	open = &atomic.Bool{}
	open.Store(true)
	w.mirror.Drain = func(context.Context) (func(), error) {
		open.Store(false)
		return func() { open.Store(true) }, nil
	}
	socket = filepath.Join(t.TempDir(), "mirror.sock")
	listener, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go w.mirror.Serve(listener)
	return w, socket, open
}

func TestClientsWaitUntilTheMoveIsOver(t *testing.T) {
	w, socket, open := drainable(t)
	w.sh("echo x > before")
	release, a, err := AskDrain(t.Context(), socket, "r", 10*time.Second)
	must(t, err)
	if !a.OK || open.Load() {
		t.Fatalf("%+v, open: %t", a, open.Load())
	}
	if d := w.differences(); d != "" {
		t.Error(d)
	}
	release()
	eventually(t, func() error {
		if !open.Load() {
			return errors.New("clients still wait")
		}
		return nil
	})
}

func TestClientsGoOnWhenTheTargetIsNoReplica(t *testing.T) {
	_, socket, open := drainable(t)
	release, a, err := AskDrain(t.Context(), socket, "X9", 10*time.Second)
	must(t, err)
	defer release()
	if a.OK || !strings.Contains(a.Refused, "X9 is no replica") {
		t.Fatalf("%+v", a)
	}
	eventually(t, func() error {
		if !open.Load() {
			return errors.New("clients still wait")
		}
		return nil
	})
}

// Who watches a barrier hears how far it is, and then the answer.
func TestWhoWatchesHearsHowFarItIs(t *testing.T) {
	w, socket, _ := drainable(t)
	w.behind("rm .hafs-share")
	w.sh("echo x > f")
	heard := make(chan struct{})
	meanwhile := func(a Answer) {
		if len(a.Reached) > 0 || len(a.Lagging) != 1 || !strings.HasPrefix(a.Lagging[0], "r: ") {
			t.Errorf("%+v", a)
		}
		select {
		case <-heard:
		default:
			close(heard)
		}
	}
	go func() {
		<-heard
		w.behind("printf 'cluster: test\\n' > .hafs-share")
	}()
	a, err := AskWatching(t.Context(), socket, Request{Timeout: 20 * time.Second}, meanwhile)
	if err != nil || !a.OK || a.Waiting {
		t.Errorf("%+v, %v", a, err)
	}
}

// Who is told to end does not wait for the answer.
func TestWhoAsksMayLeave(t *testing.T) {
	w, socket, _ := drainable(t)
	w.behind("rm .hafs-share")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if _, err := AskWatching(ctx, socket, Request{Timeout: time.Hour}, func(Answer) { stop() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
