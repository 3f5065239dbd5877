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
	"sync"

	"github.com/rs/zerolog"

	"hafs/lib/client/share"
	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/socket"
	"hafs/lib/host/system"
	"hafs/lib/replication/change"
	"hafs/lib/replication/mirror"
	"hafs/lib/replication/stream"
)

// Reception takes sessions for one server.
type Reception struct {
	settings config.Settings
	record   func() record.Record
	mirror   *mirror.Mirror
	replica  stream.Receiver
	door     share.Door
	disk     *soundness
	room     *room
	log      zerolog.Logger
	noting   sync.Mutex
	noted    *change.Position
}

// New is a reception for the copy in a directory, which feeds the replicas of m when this server is FS.
func New(settings config.Settings, latest *record.Latest, m *mirror.Mirror, directory string, log zerolog.Logger) *Reception {
	r := &Reception{settings: settings, record: latest.Record, mirror: m, log: log}
	r.disk = &soundness{directory: directory, unfit: m.Unfit}
	r.room = &room{settings: settings, record: r.record}
	_ = os.Remove(settings.Run("draining")) // of one that was killed
	if settings.TrashRetention > 0 {
		_ = os.MkdirAll(settings.State("trash"), 0o700)
	}
	r.replica = stream.Receiver{
		Path: directory, Cluster: r.record().Cluster, Allowed: r.feeds, Note: r.note, Position: r.position, Passed: r.passed, History: m.History,
		KeepDeleted: settings.TrashRetention, TrashDirectory: settings.State("trash"), Redo: settings.Redo(), Log: log,
	}
	return r
}

// Recover makes the copy whole that a process before this one may have left with a file half changed.
func (r *Reception) Recover() error { return r.replica.Recover() }

// Whole says whether this server's copy has everything that is in the share; until then none of its replicas has.
func (r *Reception) Whole() bool {
	return r.record().FS.Name == r.settings.Name || r.position().Complete
}

// Accept takes sessions until the listener is closed or ctx ends. It looks after the trash meanwhile.
func (r *Reception) Accept(ctx context.Context, listener *net.UnixListener) {
	go r.replica.EmptyTrash(ctx)
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
		r.forget()
		if p := r.position(); !p.Complete || !r.continuous(p.Generation) { // until it has all of it, it is not fit to succeed
			if err := r.note(change.Position{}); err != nil {
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

// feeds refuses what comes from a server that does not feed this one by the newest record, and what was begun with another copy than the one that is here
// now: hafs-promote init --empty takes away the position that each session begins with.
func (r *Reception) feeds(from string) error {
	now := r.record()
	if feeder := gate.Feeder(now, r.settings.Name); feeder != from {
		return fmt.Errorf("%s does not feed %s (%s) in generation %d, %q does", from, r.settings.Name, now.Role(r.settings.Name), now.Generation, feeder)
	}
	if r.forget() {
		return fmt.Errorf("the copy on %s is another one than that of before", r.settings.Name)
	}
	return nil
}

// continuous says whether this server was fed in every generation since one. If not, what others acknowledged meanwhile is missing here, and what
// its position says is of an older share.
func (r *Reception) continuous(since uint64) bool {
	store := record.Store{Directory: r.settings.StateDirectory}
	for n := since; n <= r.record().Generation; n++ {
		then, err := store.Generation(n)
		if err != nil || gate.Feeder(then, r.settings.Name) == "" {
			return false
		}
	}
	return true
}

// passed tells the replicas of this server's copy what has changed in it, sooner than the kernel would.
func (r *Reception) passed(ctx context.Context, paths []string, through bool) error {
	if through {
		return r.mirror.Settle(ctx, paths, 0)
	}
	r.mirror.ReportAll(paths)
	return nil
}

// forget says whether hafs-promote init --empty took the position away, as another disk is in the place of the copy. Then nothing that is remembered is of this
// copy.
func (r *Reception) forget() bool {
	if _, err := os.Lstat(r.settings.Position()); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	r.noted = nil
	if h := r.replica.History; h != nil {
		h.Clear()
	}
	return true
}

func (r *Reception) position() change.Position {
	r.noting.Lock()
	defer r.noting.Unlock()
	if r.noted == nil {
		r.noted = &change.Position{}
		if text, err := os.ReadFile(r.settings.Position()); err != nil || json.Unmarshal(text, r.noted) != nil {
			r.noted = &change.Position{}
		}
	}
	return *r.noted
}

// note keeps the position of this server's copy where hafs-linkcheck tells it to whoever looks for a successor of the file sharing server.
// That the number grew may be lost with the power: others are further then.
func (r *Reception) note(p change.Position) error {
	before := r.position()
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.settings.Position()), 0o755); err != nil {
		return err
	}
	replace := system.Machine{}.Replace
	if p.Generation == before.Generation && p.Complete == before.Complete {
		replace = system.Machine{}.ReplaceUnsynced
	}
	r.noting.Lock()
	if err = replace("note position", r.settings.Position(), text, 0o644); err == nil {
		r.noted = &p
	}
	r.noting.Unlock()
	if err != nil {
		return err
	}
	r.mirror.Reached(p)
	if p.Complete && (!before.Complete || p.Generation != before.Generation) {
		r.mirror.SayWhole()
	}
	return nil
}
