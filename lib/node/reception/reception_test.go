package reception

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"github.com/rs/zerolog"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/socket"
	"hafs/lib/host/system"
	"hafs/lib/replication/change"
	"hafs/lib/replication/mirror"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
	"hafs/lib/testkit/recordtest"
)

const marker = "cluster: test\n"

// desk is a reception of one server, with its share in a directory of its own.
type desk struct {
	t        *testing.T
	settings config.Settings
	share    string
	store    record.Store
	record   record.Record
	history  *change.History
}

func open(t *testing.T, self, line string, with ...func(*config.Settings)) *desk {
	t.Helper()
	d := &desk{t: t, settings: config.Defaults(), share: t.TempDir(), history: &change.History{}}
	d.settings.Name, d.settings.StateDirectory, d.settings.RunDirectory = self, t.TempDir(), t.TempDir()
	for _, set := range with {
		set(&d.settings)
	}
	must(t, os.WriteFile(filepath.Join(d.share, gate.Marker), []byte(marker), 0o644))
	d.record = recordtest.Parse(t, line)
	d.record.FS.SharedArea, d.record.DataDirectory = d.share, d.share
	d.store = record.Store{Directory: d.settings.StateDirectory}
	must(t, d.store.Install(d.record))
	root, err := tree.Open(d.share)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	ctx, stop := context.WithCancel(context.Background())
	m := &mirror.Mirror{Share: root, Pace: mirror.Pace{Every: time.Hour}, Log: zerolog.Nop(), History: d.history}
	m.Start(ctx)
	listener, err := socket.Listen(d.settings.Run(gate.SessionSocket))
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(d.settings, &record.Latest{Store: d.store}, m, d.share, zerolog.Nop()).Accept(ctx, listener)
	}()
	t.Cleanup(func() { stop(); listener.Close(); <-done })
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// peer is the far end of a session: what sshd would have.
type peer struct {
	io.Reader
	io.WriteCloser
	conn *net.UnixConn
}

func (p peer) Close() error { return errors.Join(p.conn.Close(), p.WriteCloser.Close()) }

// session does what hafs-gate does.
func (d *desk) session(kind gate.Kind, from string) peer {
	d.t.Helper()
	in, write, err := os.Pipe()
	must(d.t, err)
	read, out, err := os.Pipe()
	must(d.t, err)
	conn, err := socket.Dial(d.settings.Run(gate.SessionSocket))
	must(d.t, err)
	text, err := json.Marshal(gate.Session{Kind: kind, From: from, Generation: d.record.Generation})
	must(d.t, err)
	must(d.t, socket.Send(conn, append(text, '\n'), int(in.Fd()), int(out.Fd())))
	must(d.t, errors.Join(in.Close(), out.Close()))
	p := peer{read, write, conn}
	d.t.Cleanup(func() { p.Close(); read.Close() })
	return p
}

func (d *desk) giveLease() {
	d.t.Helper()
	l := lease.Lease{Generation: d.record.Generation, Expires: lease.Clock() + time.Minute}
	must(d.t, l.Write(system.Machine{}, d.settings.Run("lease")))
}

func TestOnlyWhoFeedsThisServerIsLetIn(t *testing.T) {
	d := open(t, "W3", "fs=L1 pairs=W3/M2 spares=M3")
	hello := stream.Hello{Cluster: "test", Generation: 7, Marker: []byte(marker)}
	var refused stream.Refusal
	if _, err := stream.Open(d.session(gate.Replica, "M3"), hello, func() {}); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "M3 does not feed W3") {
		t.Errorf("M3: %v", err)
	}
	s, err := stream.Open(d.session(gate.Replica, "L1"), hello, func() {})
	must(t, err)
	if text, err := os.ReadFile(d.settings.Position()); err != nil || !strings.Contains(string(text), `"Complete":false`) {
		t.Errorf("a copy that was never compared: %s %v", text, err)
	}
	// I1: a generation in which another server feeds this one ends what is under way.
	next := d.record.Clone()
	next.Generation, next.FS.Name = 8, "M3"
	next.Servers[0].Status, next.Servers[3].Status = record.Failed, record.Active
	must(t, d.store.Install(next))
	b, err := s.Begin()
	must(t, err)
	if _, err := b.End(nil); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "L1 does not feed W3") {
		t.Errorf("a deposed file sharing server: %v", err)
	}
}

func TestTheShareIsServedWithTheLeaseOnly(t *testing.T) {
	d := open(t, "L1", "fs=L1 pairs=W3/M2 spares=M3")
	p := d.session(gate.Share, "M3")
	if _, err := sftp.NewClientPipe(p, p); err == nil {
		t.Fatal("served without a lease")
	}
	d.giveLease()
	p = d.session(gate.Share, "M3")
	client, err := sftp.NewClientPipe(p, p)
	must(t, err)
	must(t, client.Mkdir(filepath.Join(d.share, "new")))
	must(t, lease.Remove(system.Machine{}, d.settings.Run("lease")))
	if err := client.Mkdir(filepath.Join(d.share, "later")); err == nil {
		t.Error("a change was acknowledged without the lease")
	}
}

func TestWithoutCopiesChangesAreRefused(t *testing.T) {
	for _, acknowledge := range []string{config.AcknowledgeDRS1, config.AcknowledgeDRS2, config.AcknowledgeLocal} {
		d := open(t, "L1", "fs=L1 pairs=trouble/trouble spares=M3", func(s *config.Settings) {
			s.WithoutCopies, s.Acknowledge = config.WithoutRefuse, acknowledge
		})
		d.giveLease()
		p := d.session(gate.Share, "M3")
		client, err := sftp.NewClientPipe(p, p)
		must(t, err)
		if err := client.Mkdir(filepath.Join(d.share, "new")); !errors.Is(err, os.ErrPermission) {
			t.Errorf("acknowledge %s: the client is told %v", acknowledge, err)
		}
		if _, err := client.Stat(filepath.Join(d.share, "new")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("acknowledge %s: made all the same: %v", acknowledge, err)
		}
	}
}

// A batch of the server before that is still under way would be written over what clients do now.
func TestWhoFedThisServerIsGoneBeforeClientsAreServed(t *testing.T) {
	d := open(t, "W3", "fs=L1 pairs=W3/M2 spares=M3")
	s, err := stream.Open(d.session(gate.Replica, "L1"), stream.Hello{Cluster: "test", Generation: 7, Marker: []byte(marker)}, nil)
	must(t, err)
	next := recordtest.Parse(t, "fs=W3 pairs=M2/M3 failed=L1")
	next.Generation, next.FS.SharedArea, next.DataDirectory = 8, d.share, d.share
	must(t, d.store.Install(next))
	d.record = next
	d.giveLease()
	p := d.session(gate.Share, "M3")
	_, err = sftp.NewClientPipe(p, p)
	must(t, err)
	b, err := s.Begin()
	if err == nil {
		_, err = b.End(nil)
	}
	if refused := (stream.Refusal{}); err == nil || errors.As(err, &refused) { // whoever is refused was heard
		t.Errorf("the stream goes on: %v", err)
	}
}

// hafs-role ends a session by killing hafs-gate, whose connection goes with it.
func TestASessionEndsWithItsGate(t *testing.T) {
	d := open(t, "L1", "fs=L1 pairs=W3/M2 spares=M3")
	d.giveLease()
	p := d.session(gate.Share, "M3")
	_, err := sftp.NewClientPipe(p, p)
	must(t, err)
	must(t, p.conn.Close())
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, p.Reader); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the session goes on")
	}
}

// A server that was out of the pairs for a while has an old share, however complete that was.
func TestAnOldPositionCountsOnlyIfItWasFedEverSince(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile string // the record between
		complete  bool
	}{
		"fed all the time": {"fs=L1 pairs=W3/M2 spares=M3", true},
		"a spare between":  {"fs=L1 pairs=M2/M3 spares=W3", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, "W3", "fs=L1 pairs=W3/M2 spares=M3")
			must(t, os.MkdirAll(filepath.Dir(d.settings.Position()), 0o755))
			must(t, os.WriteFile(d.settings.Position(), []byte(`{"Generation":7,"Number":5,"Complete":true}`), 0o644))
			for i, line := range []string{c.meanwhile, "fs=L1 pairs=W3/M2 spares=M3"} {
				next := recordtest.Parse(t, line)
				next.Generation, next.FS.SharedArea, next.DataDirectory = d.record.Generation+1+uint64(i), d.share, d.share
				must(t, d.store.Install(next))
			}
			s, err := stream.Open(d.session(gate.Replica, "L1"), stream.Hello{Cluster: "test", Marker: []byte(marker)}, nil)
			must(t, err)
			if got := s.Position().Complete; got != c.complete {
				t.Errorf("complete: %v", got)
			}
		})
	}
}

// Another disk is in the place of the copy (hafs-promote init --empty): what was whole before claims nothing in the next session.
func TestAPositionThatWasTakenAway(t *testing.T) {
	d := open(t, "W3", "fs=L1 pairs=W3/M2 spares=M3")
	must(t, os.MkdirAll(filepath.Dir(d.settings.Position()), 0o755))
	must(t, os.WriteFile(d.settings.Position(), []byte(`{"Generation":7,"Number":5,"Complete":true}`), 0o644))
	d.history.Is(change.Position{Generation: 7, Number: 5})
	for i, complete := range []bool{true, false} {
		p := d.session(gate.Replica, "L1")
		s, err := stream.Open(p, stream.Hello{Cluster: "test", Marker: []byte(marker)}, nil)
		must(t, err)
		if got := s.Position().Complete; got != complete {
			t.Errorf("session %d: complete %v", i+1, got)
		}
		must(t, os.Remove(d.settings.Position()))
		b, err := s.Begin()
		if err == nil {
			_, err = b.End(nil)
		}
		if refused := (stream.Refusal{}); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "the copy on W3 is another one") {
			t.Errorf("session %d goes on: %v", i+1, err)
		}
		if _, err := os.Lstat(d.settings.Position()); err == nil {
			t.Errorf("session %d has noted a position of another copy", i+1)
		}
		if p, known := d.history.Common(change.Position{Generation: 7, Number: 9}); known {
			t.Errorf("session %d: the copy here was at %v, by what is remembered of another one", i+1, p)
		}
	}
}
