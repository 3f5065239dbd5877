package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/config"
	"hafs/lib/gate"
	"hafs/lib/lease"
	"hafs/lib/mirror"
	"hafs/lib/record"
	"hafs/lib/share"
	"hafs/lib/socket"
	"hafs/lib/stream"
	"hafs/lib/system"
)

// following is the record as it is at this moment: it is asked for before each batch, long before a notice of a change would have come.
type following struct {
	store record.Store

	mu   sync.Mutex
	link string // where current led when now was read
	now  record.Record
}

func (f *following) record() record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	link, err := os.Readlink(f.store.Link())
	if err != nil || link == f.link {
		return f.now
	}
	if r, err := f.store.Current(); err == nil {
		f.link, f.now = link, r
	}
	return f.now
}

// receiving takes the sessions that hafs-gate hands over: of the server that feeds this one's copy, and of the share's clients.
type receiving struct {
	settings config.Settings
	record   func() record.Record
	mirror   *mirror.Mirror
	replica  stream.Receiver
	door     share.Door
	log      zerolog.Logger
}

func newReceiving(settings config.Settings, f *following, m *mirror.Mirror, directory string, log zerolog.Logger) *receiving {
	r := &receiving{settings: settings, record: f.record, mirror: m, log: log}
	_ = os.Remove(settings.Run("draining")) // of one that was killed
	r.replica = stream.Receiver{Path: directory, Cluster: f.record().Cluster, Allowed: r.feeds, Note: r.note, Log: log}
	return r
}

func (r *receiving) accept(ctx context.Context, listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		go func() {
			if err := r.session(ctx, conn); err != nil && ctx.Err() == nil {
				r.log.Warn().Err(err).Msg("session ended")
			}
		}()
	}
}

// session serves one session. hafs-gate stays until the connection is closed; when it is killed the session ends.
func (r *receiving) session(ctx context.Context, conn *net.UnixConn) error {
	defer conn.Close()
	text, files, err := socket.Receive(conn, 2)
	if err != nil {
		return err
	}
	peer := struct {
		io.Reader
		io.Writer
		io.Closer
	}{files[0], files[1], closers(files)}
	defer peer.Close()
	var s gate.Session
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("greeting of hafs-gate: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	switch s.Kind {
	case gate.Replica:
		if _, err := os.Stat(r.settings.State("position.json")); errors.Is(err, os.ErrNotExist) { // until it has all of it, it is not fit to succeed
			if err := r.note(stream.Position{}); err != nil {
				return err
			}
		}
		return r.replica.Serve(ctx, s.From, peer)
	case gate.Share:
		return r.share(ctx, s, peer)
	}
	return fmt.Errorf("hafs-gate handed over a session of kind %q", s.Kind)
}

type closers []*os.File

func (c closers) Close() error {
	var all []error
	for _, f := range c {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}

// feeds refuses what comes from a server that does not feed this one by the newest record.
func (r *receiving) feeds(from string) error {
	now := r.record()
	if feeder := gate.Feeder(now, r.settings.Name); feeder != from {
		return fmt.Errorf("%s does not feed %s (%s) in generation %d, %q does", from, r.settings.Name, now.Role(r.settings.Name), now.Generation, feeder)
	}
	return nil
}

// note keeps the position of this server's copy where hafs-linkcheck tells it to whoever looks for a successor of the file sharing server.
func (r *receiving) note(p stream.Position) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return system.Machine{}.Replace("note position", r.settings.State("position.json"), text, 0o644)
}

// share serves one client of the share.
func (r *receiving) share(ctx context.Context, s gate.Session, client io.ReadWriteCloser) error {
	if err := r.serves(s.From); err != nil {
		return err
	}
	directory := r.record().FS.SharedArea
	cmd := exec.CommandContext(ctx, gate.SFTPServer, "-d", directory)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	session := share.Session{Door: &r.door, Directory: directory, Allowed: func() error { return r.serves(s.From) }}
	if r.settings.Acknowledge == config.AcknowledgeDRS1 {
		session.Settle = r.mirror.Settle
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil && r.serves(s.From) == nil {
			select {
			case <-time.After(lease.Ends(r.settings.Run("lease"))):
			case <-ctx.Done():
			}
		}
		cancel()
	}()
	err = session.Serve(ctx, client, struct {
		io.Reader
		io.WriteCloser
	}{out, in})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return err
}

// serves refuses to acknowledge anything once this server may not serve any more.
func (r *receiving) serves(from string) error {
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

// drain stops clients for a planned move of the role: programs on this server by leading them into the client mount, which then waits like all
// others.
func (r *receiving) drain(ctx context.Context) (open func(), err error) {
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
