package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"hafs/lib/client/sftpd"
)

// copies is a stand-in for the replicas: it notes what is waited for, and lets it settle when told to.
type copies struct {
	mu      sync.Mutex
	wanted  []string
	settled chan struct{} // closed: everything settles at once
	gone    chan struct{} // closed: there is none any more
	news    chan struct{}
}

func (c *copies) settle(ctx context.Context, paths []string) error {
	c.mu.Lock()
	c.wanted = append(c.wanted, paths...)
	settled := c.settled
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	select {
	case <-settled:
		return nil
	case <-c.gone:
		return fmt.Errorf("no copies: %w", ErrUncopied)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until a path is waited for.
func (c *copies) await(t *testing.T, path string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		found := slices.Contains(c.wanted, path)
		wanted := fmt.Sprint(c.wanted)
		c.mu.Unlock()
		if found {
			return
		}
		select {
		case <-c.news:
		case <-deadline:
			t.Fatalf("nobody waits for %s, only for %s", path, wanted)
		}
	}
}

type world struct {
	*copies
	directory string
	door      Door
	client    *sftp.Client
	ended     chan error
	mu        sync.Mutex
	forbidden error
	refused   error
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{copies: &copies{settled: make(chan struct{}), gone: make(chan struct{}), news: make(chan struct{}, 1)}, directory: t.TempDir(), ended: make(chan error, 1)}
	asked, in := io.Pipe()
	out, answered := io.Pipe()
	go func() {
		answered.CloseWithError(sftpd.Server{}.Serve(context.Background(), w.directory, asked, answered))
	}()
	near, far := net.Pipe()
	s := &Session{Door: &w.door, Directory: w.directory, Takes: w.takes, Settle: w.settle, Allowed: w.allowed}
	server := struct {
		io.Reader
		io.WriteCloser
	}{out, in}
	go func() { w.ended <- s.Serve(context.Background(), far, server) }()
	var err error
	if w.client, err = sftp.NewClientPipe(near, near); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.client.Close(); near.Close() })
	return w
}

func (w *world) allowed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.forbidden
}

func (w *world) takes(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

func (w *world) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = err
}

func (w *world) path(name string) string { return filepath.Join(w.directory, name) }

// pending runs a call that must not return before the copies have settled, and returns its result.
func (w *world) pending(t *testing.T, path string, call func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	w.await(t, path)
	select {
	case err := <-done:
		t.Fatalf("%s was answered before it had settled (%v)", path, err)
	default:
	}
	close(w.settled)
	return <-done
}

func TestAChangeIsAnsweredWhenItHasSettled(t *testing.T) {
	changes := map[string]struct {
		path string
		call func(w *world) error
	}{
		"mkdir":         {"new", func(w *world) error { return w.client.Mkdir(w.path("new")) }},
		"remove":        {"old", func(w *world) error { return w.client.Remove(w.path("old")) }},
		"rename":        {"renamed", func(w *world) error { return w.client.PosixRename(w.path("old"), w.path("renamed")) }},
		"link":          {"linked", func(w *world) error { return w.client.Link(w.path("old"), w.path("linked")) }},
		"symlink":       {"pointer", func(w *world) error { return w.client.Symlink("old", w.path("pointer")) }},
		"chmod":         {"old", func(w *world) error { return w.client.Chmod(w.path("old"), 0o600) }},
		"relative name": {"old", func(w *world) error { return w.client.Chmod("old", 0o600) }},
		"empty file": {"empty", func(w *world) error {
			f, err := w.client.Create(w.path("empty"))
			if err != nil {
				return err
			}
			return f.Close()
		}},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			if err := os.WriteFile(w.path("old"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := w.pending(t, change.path, func() error { return change.call(w) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTheLastWriteOfAFileWaits(t *testing.T) {
	w := start(t)
	f, err := w.client.Create(w.path("file"))
	if err != nil {
		t.Fatal(err)
	}
	// Two at once: the answer to the first is given when the second is under way.
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := f.WriteAt([]byte("one"), 0); first <- err }()
	w.await(t, "file")
	go func() { _, err := f.WriteAt([]byte("two"), 3); second <- err }()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-second:
		t.Fatalf("the last write was answered before it had settled (%v)", err)
	default:
	}
	close(w.settled)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(w.path("file")); err != nil || string(text) != "onetwo" {
		t.Fatalf("%q, %v", text, err)
	}
}

func TestWhatChangesNothingOrFailsWaitsForNobody(t *testing.T) {
	w := start(t)
	if err := os.WriteFile(w.path("old"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Stat(w.path("old")); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Mkdir(w.path("old")); err == nil {
		t.Fatal("a directory was made over a file")
	}
	f, err := w.client.Open(w.path("old"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); err != nil || string(text) != "x" {
		t.Fatalf("%q, %v", text, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Mkdir(t.TempDir() + "/outside"); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("outside the share: %v", err)
	}
	w.copies.mu.Lock()
	defer w.copies.mu.Unlock()
	if len(w.wanted) > 0 {
		t.Fatalf("waited for %q", w.wanted)
	}
}

func TestNothingIsAcknowledgedOnceTheServerMayNotServe(t *testing.T) {
	w := start(t)
	gone := errors.New("the lease is over")
	w.mu.Lock()
	w.forbidden = gone
	w.mu.Unlock()
	close(w.settled)
	if err := w.client.Mkdir(w.path("new")); err == nil {
		t.Fatal("a change was acknowledged")
	}
	if err := <-w.ended; !errors.Is(err, gone) {
		t.Fatalf("the session ended with %v", err)
	}
}

func TestASessionThatEndsLeavesNobodyWaiting(t *testing.T) {
	w := start(t)
	done := make(chan error, 1)
	go func() { done <- w.client.Mkdir(w.path("new")) }()
	w.await(t, "new")
	w.client.Close()
	if err := <-done; err == nil {
		t.Fatal("acknowledged without its copies")
	}
	if err := <-w.ended; err != nil {
		t.Fatal(err)
	}
}

func TestAClosedDoorKeepsChangesWaiting(t *testing.T) {
	w := start(t)
	inside := make(chan error, 1)
	go func() { inside <- w.client.Mkdir(w.path("inside")) }()
	w.await(t, "inside")
	closed := make(chan error, 1)
	go func() { closed <- w.door.Close(context.Background()) }()
	select {
	case <-closed:
		t.Fatal("closed while somebody is inside")
	default:
	}
	close(w.settled)
	if err := <-inside; err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	outside := make(chan error, 1)
	go func() { outside <- w.client.Mkdir(w.path("outside")) }()
	select {
	case err := <-outside:
		t.Fatalf("let in through a closed door (%v)", err)
	case <-time.After(20 * time.Millisecond):
	}
	if _, err := os.Stat(w.path("outside")); err == nil {
		t.Fatal("carried out behind a closed door")
	}
	w.door.Open()
	if err := <-outside; err != nil {
		t.Fatal(err)
	}
}

func TestASessionThatEndsLeavesTheDoorFree(t *testing.T) {
	w := start(t)
	go func() { _ = w.client.Mkdir(w.path("new")) }()
	w.await(t, "new")
	w.client.Close()
	<-w.ended
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.door.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
