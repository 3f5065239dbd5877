// Package reception takes the sessions that hafs-gate hands over on one server: of the server that feeds this one's copy by a stream, and of the
// share's clients when this one is the file sharing server.
//
// It promises that nothing is taken from a server that does not feed this one by the newest record, and that no change is acknowledged to a client without the
// lease. What is carried out is the business of packages stream and share.
package reception

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"hafs/lib/config"
	"hafs/lib/gate"
	"hafs/lib/mirror"
	"hafs/lib/record"
	"hafs/lib/share"
	"hafs/lib/socket"
	"hafs/lib/stream"
	"hafs/lib/system"
)

// Reception takes sessions for one server.
type Reception struct {
	settings config.Settings
	record   func() record.Record
	mirror   *mirror.Mirror
	replica  stream.Receiver
	door     share.Door
	log      zerolog.Logger
}

// New is a reception for the copy in a directory, which feeds the replicas of m when this server is FS.
func New(settings config.Settings, latest *record.Latest, m *mirror.Mirror, directory string, log zerolog.Logger) *Reception {
	r := &Reception{settings: settings, record: latest.Record, mirror: m, log: log}
	_ = os.Remove(settings.Run("draining")) // of one that was killed
	r.replica = stream.Receiver{Path: directory, Cluster: r.record().Cluster, Allowed: r.feeds, Note: r.note, Log: log}
	return r
}

// Accept takes sessions until the listener is closed or ctx ends.
func (r *Reception) Accept(ctx context.Context, listener *net.UnixListener) {
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
func (r *Reception) session(ctx context.Context, conn *net.UnixConn) error {
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
		if _, err := os.Stat(r.settings.Position()); errors.Is(err, os.ErrNotExist) { // until it has all of it, it is not fit to succeed
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
func (r *Reception) feeds(from string) error {
	now := r.record()
	if feeder := gate.Feeder(now, r.settings.Name); feeder != from {
		return fmt.Errorf("%s does not feed %s (%s) in generation %d, %q does", from, r.settings.Name, now.Role(r.settings.Name), now.Generation, feeder)
	}
	return nil
}

// note keeps the position of this server's copy where hafs-linkcheck tells it to whoever looks for a successor of the file sharing server.
func (r *Reception) note(p stream.Position) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.settings.Position()), 0o755); err != nil {
		return err
	}
	return system.Machine{}.Replace("note position", r.settings.Position(), text, 0o644)
}
