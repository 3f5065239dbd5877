package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"

	packet "hafs/lib/client/sftp"
)

var errNotTaken = errors.New("no copies")

// listing is everything in the share, with what a change would change.
func (w *world) listing(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(w.directory, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := []byte(nil)
		if d.Type().IsRegular() {
			if text, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		all.WriteString(strings.Join([]string{path, info.Mode().String(), info.ModTime().String(), string(text)}, " ") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestAChangeThatIsNotTakenIsNotCarriedOut(t *testing.T) {
	changes := map[string]func(w *world, open *sftp.File) error{
		"make a file": func(w *world, _ *sftp.File) error { _, err := w.client.Create(w.path("new")); return err },
		"open to write": func(w *world, _ *sftp.File) error {
			_, err := w.client.OpenFile(w.path("old"), os.O_WRONLY)
			return err
		},
		"empty": func(w *world, _ *sftp.File) error {
			_, err := w.client.OpenFile(w.path("old"), os.O_WRONLY|os.O_TRUNC)
			return err
		},
		"write":          func(_ *world, open *sftp.File) error { _, err := open.WriteAt([]byte("y"), 0); return err },
		"chmod open":     func(_ *world, open *sftp.File) error { return open.Chmod(0o600) },
		"chmod":          func(w *world, _ *sftp.File) error { return w.client.Chmod(w.path("old"), 0o600) },
		"truncate":       func(w *world, _ *sftp.File) error { return w.client.Truncate(w.path("old"), 0) },
		"times":          func(w *world, _ *sftp.File) error { return w.client.Chtimes(w.path("old"), time.Time{}, time.Time{}) },
		"mkdir":          func(w *world, _ *sftp.File) error { return w.client.Mkdir(w.path("new")) },
		"remove":         func(w *world, _ *sftp.File) error { return w.client.Remove(w.path("old")) },
		"rmdir":          func(w *world, _ *sftp.File) error { return w.client.RemoveDirectory(w.path("empty")) },
		"rename":         func(w *world, _ *sftp.File) error { return w.client.Rename(w.path("old"), w.path("new")) },
		"rename over":    func(w *world, _ *sftp.File) error { return w.client.PosixRename(w.path("old"), w.path("other")) },
		"link":           func(w *world, _ *sftp.File) error { return w.client.Link(w.path("old"), w.path("new")) },
		"symlink":        func(w *world, _ *sftp.File) error { return w.client.Symlink("old", w.path("new")) },
		"outside of all": func(w *world, _ *sftp.File) error { return w.client.Mkdir(w.path("../outside")) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			close(w.settled)
			for _, file := range []string{"old", "other"} {
				if err := os.WriteFile(w.path(file), []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(w.path("empty"), 0o755); err != nil {
				t.Fatal(err)
			}
			open, err := w.client.OpenFile(w.path("old"), os.O_RDWR)
			if err != nil {
				t.Fatal(err)
			}
			before := w.listing(t)
			w.refuse(errNotTaken)
			if err := change(w, open); !errors.Is(err, os.ErrPermission) {
				t.Errorf("the client is told %v", err)
			}
			if after := w.listing(t); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			if _, err := w.client.Stat(w.path("old")); err != nil {
				t.Error(err)
			}
			if text, err := io.ReadAll(open); err != nil || string(text) != "x" {
				t.Errorf("read %q, %v", text, err)
			}
			if err := open.Close(); err != nil {
				t.Error(err)
			}
			w.refuse(nil)
			if err := w.client.Mkdir(w.path("later")); err != nil {
				t.Errorf("when changes are taken again: %v", err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := w.door.Close(ctx); err != nil {
				t.Errorf("somebody is left inside: %v", err)
			}
		})
	}
}

// The successor is to be asked, which may have copies.
func TestAServerThatMayNotServeRefusesNothing(t *testing.T) {
	w := start(t)
	gone := errors.New("the lease is over")
	w.mu.Lock()
	w.refused, w.forbidden = errNotTaken, gone
	w.mu.Unlock()
	if err := w.client.Mkdir(w.path("new")); err == nil || errors.Is(err, os.ErrPermission) {
		t.Errorf("the client is told %v", err)
	}
	if err := <-w.ended; !errors.Is(err, gone) {
		t.Errorf("the session ended with %v", err)
	}
}

func TestAChangeWhoseLastCopyGoesIsNotAcknowledged(t *testing.T) {
	for name, change := range map[string]func(w *world) error{
		"mkdir": func(w *world) error { return w.client.Mkdir(w.path("new")) },
		"write": func(w *world) error {
			f, err := w.client.Create(w.path("new"))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write([]byte("x"))
			return err
		},
		"empty file": func(w *world) error {
			f, err := w.client.Create(w.path("new"))
			if err != nil {
				return err
			}
			return f.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			done := make(chan error, 1)
			go func() { done <- change(w) }()
			w.await(t, "new")
			close(w.gone)
			if err := <-done; !errors.Is(err, os.ErrPermission) {
				t.Errorf("the client is told %v", err)
			}
			if _, err := w.client.Stat(w.path("new")); err != nil {
				t.Errorf("the session goes on, and what was done is there: %v", err)
			}
		})
	}
}

// lasting is a connection that closes only when it is let.
type lasting struct {
	net.Conn
	let chan struct{}
}

func (l lasting) Close() error {
	<-l.let
	return l.Conn.Close()
}

// A session that ends, as with its hafs-mirror, has not decided anything: the next one is asked.
func TestASessionThatEndsRefusesNothing(t *testing.T) {
	near, far := net.Pipe()
	server, end := net.Pipe()
	defer end.Close()
	client := lasting{far, make(chan struct{})}
	asked := make(chan struct{})
	s := &Session{Door: &Door{}, Directory: "/share", Takes: func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, client, server) }()
	if err := packet.WritePacket(near, packet.NewPacket(packet.Mkdir, 1, packet.AppendString(nil, "/share/new"))); err != nil {
		t.Fatal(err)
	}
	<-asked
	stop()
	_ = near.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if p, err := packet.ReadPacket(near); err == nil {
		t.Errorf("the client is told %q", p)
	}
	close(client.let)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What kept a change from its copies is said in the words of SFTP, as far as it has them.
func TestTheCauseIsTold(t *testing.T) {
	request := packet.NewPacket(packet.Mkdir, 7, nil)
	for reason, want := range map[error]uint32{
		ErrUncopied: packet.PermissionDenied,
		fmt.Errorf("x: %w: %w", syscall.ENOSPC, ErrUncopied):       packet.NoSpace,
		fmt.Errorf("x: %w: %w", syscall.EDQUOT, ErrUncopied):       packet.QuotaExceeded,
		fmt.Errorf("x: %w: %w", syscall.ENAMETOOLONG, ErrUncopied): packet.InvalidFilename,
		fmt.Errorf("x: %w: %w", syscall.EROFS, ErrUncopied):        packet.WriteProtected,
		fmt.Errorf("x: %w: %w", syscall.EPERM, ErrUncopied):        packet.PermissionDenied,
		fmt.Errorf("x: %w: %w", syscall.EBUSY, ErrUncopied):        packet.NoMedia,
		fmt.Errorf("x: %w: %w", syscall.EIO, ErrUncopied):          packet.NoMedia,
	} {
		if got := failure(request, reason); got.StatusCode() != want || got.ID() != 7 {
			t.Errorf("%v: code %d, want %d", reason, got.StatusCode(), want)
		}
	}
}
