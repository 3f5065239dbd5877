package reception

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hafs/lib/client/sftpd"
	"hafs/lib/client/share"
	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/replication/mirror"
)

// share serves one client of the share.
func (r *Reception) share(ctx context.Context, s gate.Session, client io.ReadWriteCloser) error {
	if err := r.serves(s.From); err != nil {
		return err
	}
	// What fed this server's copy must not write any more, if it was a DRS1 until now: hafs-role ends that as well, but no client waits for hafs-role.
	if err := r.replica.End(ctx); err != nil {
		return err
	}
	if err := r.replica.Recover(); err != nil { // what it had half done
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	directory := r.record().FS.SharedArea
	session := share.Session{Door: &r.door, Directory: directory, Allowed: func() error { return r.serves(s.From) }}
	atLeast := 0
	if r.settings.WithoutCopies == config.WithoutRefuse {
		atLeast = 1
		session.Takes = r.mirror.AnyWhole
	}
	if r.settings.Acknowledge != config.AcknowledgeLocal {
		session.Settle = func(ctx context.Context, paths []string) error {
			err := r.mirror.Settle(ctx, paths, atLeast)
			if errors.Is(err, mirror.ErrNoCopies) {
				err = fmt.Errorf("%w: %w", mirror.ErrNoCopies, share.ErrUncopied)
			}
			if errors.As(err, new(mirror.Uncopied)) {
				r.log.Warn().Err(err).Msg("a client's change does not get its copies")
				err = fmt.Errorf("%w: %w", err, share.ErrUncopied)
			}
			return err
		}
	}
	go func() {
		for ctx.Err() == nil && r.serves(s.From) == nil {
			select {
			case <-time.After(lease.Ends(r.settings.Run("lease"))):
			case <-ctx.Done():
			}
		}
		cancel()
	}()
	asked, requests := io.Pipe()
	answers, answered := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := sftpd.Server{Failed: r.disk.failed, Room: r.room.left}.Serve(ctx, directory, asked, answered)
		answered.CloseWithError(err) // what ends the server ends the session; nil: io.EOF
		asked.CloseWithError(io.ErrClosedPipe)
		done <- err
	}()
	err := session.Serve(ctx, client, server{answers, requests})
	cancel()
	<-done // what was under way is carried out or not, and never afterwards
	return err
}

// server is the share's end of a session.
type server struct {
	*io.PipeReader
	requests *io.PipeWriter
}

func (s server) Write(p []byte) (int, error) { return s.requests.Write(p) }

func (s server) Close() error { return errors.Join(s.PipeReader.Close(), s.requests.Close()) }

// serves refuses to acknowledge anything once this server may not serve any more.
func (r *Reception) serves(from string) error {
	now := r.record()
	switch {
	case now.FS.Name != r.settings.Name:
		return fmt.Errorf("%s is not the file sharing server in generation %d, %s is", r.settings.Name, now.Generation, now.FS.Name)
	case !lease.Held(r.settings.Run("lease")):
		return fmt.Errorf("%s has no lease", r.settings.Name)
	case now.Role(from) == record.RoleFailed || now.Role(from) == record.RoleNone:
		return fmt.Errorf("%s is no member in generation %d", from, now.Generation)
	}
	return nil
}

// linkPatience is how long hafs-role may take to lead /system into the client mount.
const linkPatience = 2 * time.Second

// Drain stops clients for a planned move of the role: programs on this server by leading them into the client mount, which then waits like all
// others.
func (r *Reception) Drain(ctx context.Context) (open func(), err error) {
	mark := r.settings.Run("draining")
	open = func() {
		_ = os.Remove(mark)
		r.door.Open()
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return open, err
	}
	link := r.record().FS.Link
	for deadline := time.Now().Add(linkPatience); ; {
		if to, err := os.Readlink(link); err != nil || to != r.record().FS.SharedArea {
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return open, fmt.Errorf("hafs-role has not led %s elsewhere in %s", link, linkPatience)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return open, r.door.Close(ctx)
}
