package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/disk"
	"hafs/lib/host/problem"
	"hafs/lib/host/session"
	"hafs/lib/host/socket"
	"hafs/lib/host/system"
)

// Daemon is hafs-linkcheck: it keeps the links this server needs, answers those of others, installs generations that were chosen, and
// starts hafs-promote and hafs-probe when a verdict calls for them.
type Daemon struct {
	Settings config.Settings
	Version  string // of this release, said to others
	Dialer   *session.Dialer
	Machine  system.Machine
	Log      zerolog.Logger
	// Start starts a systemd unit without waiting for it.
	Start func(unit string) error
	// Units says how units are.
	Units func(ctx context.Context, patterns ...string) ([]system.Unit, error)

	store record.Store
	votes agree.Store
	// voteDamage is why the vote on disk cannot be read; empty when it can.
	voteDamage problem.Problem
	canaries   []*canary // of the share's file system and of the state's
	serving    *serving
	iface      foundInterface
	wake       chan struct{}

	voting    sync.Mutex // one question of agreement at a time
	mu        sync.Mutex
	record    record.Record
	confirmed bool
	peers     map[string]*peerLink
	heard     map[string]time.Time // when a server's own heartbeat came in last
	fsHeard   time.Time            // when FS's did, or its record was installed or read: from then on this server keeps to it for the examination time
	sought    map[string]uint64    // the latest lease that a server asked for
	voted     uint64               // the latest generation this server voted for, or may have
	stuck     time.Time            // since when FS has seen a vote for the next generation that led to nothing
	newer     map[string]uint64    // servers seen with a newer generation
	due       map[string]time.Time // lost servers, and when to report them next
	started   time.Time
	times     lease.Times              // examination times that may be in force here
	says      map[string]time.Duration // the examination time each server said last; 0: it says none
	silent    []string                 // members that say none, as far as it is known here
	wanted    time.Duration            // the examination time of the settings, when it is not gone by because of them
	probeDue  time.Time                // when hafs-probe may be started again
	behind    Behind                   // on FS: the replica that does not take what others take
	parts     parts                    // of this server
	unwatched problem.Problem          // why hafs-watch could not watch
	unfit     problem.Problem          // on FS: why the share takes no changes, by what its clients meet
	bareSince map[string]time.Time     // on FS: servers whose directories do not hold the share, and since when
	bare      bareness                 // of this server's own directory
}

type peerLink struct {
	*peer
	address string
	stop    context.CancelFunc
}

func (d *Daemon) open() {
	d.store = record.Store{Machine: d.Machine, Directory: d.Settings.StateDirectory}
	d.votes = agree.Store{Machine: d.Machine, Path: d.Settings.State("vote.json")}
	d.wake = make(chan struct{}, 1)
	d.peers, d.heard, d.newer, d.due = map[string]*peerLink{}, map[string]time.Time{}, map[string]uint64{}, map[string]time.Time{}
	d.sought, d.says = map[string]uint64{}, map[string]time.Duration{}
	d.serving = newServing(d.Settings.Name, d.Settings.ExaminationTime, d.acts(), d.bound, d.Log)
	d.serving.lend = d.lend
}

// Run works until ctx ends.
func (d *Daemon) Run(ctx context.Context) error {
	d.open()
	if err := d.load(ctx); err != nil {
		return err
	}
	d.canaries = []*canary{
		{directory: d.record.DataDirectory, grave: disk.Grave, worked: time.Now()},
		{directory: d.Settings.StateDirectory, grave: graveForState, worked: time.Now()},
	}
	for _, c := range d.canaries {
		go c.run(ctx)
	}
	d.confirmed = d.confirmedBefore()
	if err := d.remember(time.Now()); err != nil {
		return err
	}
	d.serve()

	listener, err := socket.Listen(d.Settings.Run("link.sock"))
	if err != nil {
		return err
	}
	defer listener.Close()
	go d.accept(ctx, listener)
	go d.announce(ctx)
	go d.followCopies(ctx)
	go d.followParts(ctx)
	go d.followShare(ctx)
	system.Ready(ctx, d.alive)
	d.Log.Info().Uint64("generation", d.record.Generation).Bool("confirmed", d.confirmed).Msg("watching")
	for {
		next := d.reconcile(ctx)
		if d.changes() {
			d.Log.Info().Dur("examination_ms", d.wanted).Msg("all members say their examination times: starting again with the new one")
			return nil
		}
		timer := time.NewTimer(next)
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// alive answers when the daemon's state can be reached: one that is stuck does not answer systemd's watchdog at all.
func (d *Daemon) alive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return true
}

// load waits for the first generation: a server that is only being deployed has none yet.
func (d *Daemon) load(ctx context.Context) error {
	for waiting := false; ; waiting = true {
		r, err := d.store.Current()
		if err == nil {
			if err := d.store.Keep(); err != nil {
				return err
			}
			if _, known := r.Server(d.Settings.Name); !known {
				return fmt.Errorf("this server is %q in its settings, which the record %s does not list", d.Settings.Name, r)
			}
			d.record = r
			return nil
		}
		if !errors.Is(err, record.ErrNone) {
			return err
		}
		if !waiting {
			d.Log.Warn().Msg("no generation yet: waiting for the first one (hafs-promote init)")
		}
		sleep(ctx, time.Second)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (d *Daemon) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// reconcile brings links, confirmation and reports in line with the record and the verdicts; it returns when to look again at
// the latest.
func (d *Daemon) reconcile(ctx context.Context) time.Duration {
	d.learn(ctx)
	d.adjustLinks(ctx)
	d.confirm()
	d.settleTimes()
	d.serve()
	d.finish(ctx)
	return d.report()
}

// adjustLinks starts the links that are wanted and stops the others.
func (d *Daemon) adjustLinks(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := map[string]bool{}
	for _, name := range Wanted(d.record, d.Settings.Name, d.confirmed) {
		s, _ := d.record.Server(name)
		wanted[name] = true
		if running := d.peers[name]; running != nil && running.address == s.Address {
			continue
		} else if running != nil {
			running.stop()
		}
		linking, stop := context.WithCancel(ctx)
		p := newPeer(name, d.streamTo(s), d.Settings.ExaminationTime, FirstAnswerGrace(d.record.Generation))
		p.question, p.answered, p.changed, p.needed, p.pace = d.heartbeat, d.onAnswer, d.onVerdict, d.needsAnswers, d.pace
		if d.Settings.Name < name { // of two that hear each other one keeps asking, or both would hear and ask every other time
			p.needed = nil
		}
		d.peers[name] = &peerLink{peer: p, address: s.Address, stop: stop}
		go p.run(linking)
	}
	for name, running := range d.peers {
		if !wanted[name] {
			running.stop()
			delete(d.peers, name)
		}
	}
}

func (d *Daemon) heartbeat() Request {
	healthy, _ := d.health()
	seeks := d.serving.seeks()
	d.mu.Lock()
	defer d.mu.Unlock()
	return Request{Kind: Beat, Cluster: d.record.Cluster, Generation: d.record.Generation, Healthy: healthy, Lease: seeks, Examination: d.Settings.ExaminationTime}
}

// needsAnswers says whether each answer counts: for the lease of FS, or for the confirmation of the record.
func (d *Daemon) needsAnswers() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.confirmed || d.record.Role(d.Settings.Name) == record.RoleFS
}

func (d *Daemon) onAnswer(name string, q Request, sent time.Time, f Facts) {
	d.serving.answered(name, q, sent, f)
	d.mu.Lock()
	d.said(name, f.Examination)
	newer := f.Cluster == d.record.Cluster && f.Generation > d.record.Generation
	if newer {
		d.newer[name] = f.Generation
	}
	back := Returning(d.record, d.Settings.Name, name, f) && !time.Now().Before(d.probeDue)
	if back {
		d.probeDue = time.Now().Add(2 * d.Settings.ExaminationTime)
	}
	settled := d.confirmed
	d.mu.Unlock()
	if newer || !settled {
		d.nudge()
	}
	if back && settled {
		d.start("hafs-probe.service")
	}
}

func (d *Daemon) onVerdict(name string, from, to Verdict) {
	d.mu.Lock()
	member := d.record.Role(name) != record.RoleFailed
	d.mu.Unlock()
	switch {
	case to == Lost && member:
		d.Log.Warn().Str("event", "lost").Str("peer", name).Dur("examination_ms", d.Settings.ExaminationTime).Msg("link lost")
	case to == Alive && from == Lost:
		d.Log.Info().Str("event", "back").Str("peer", name).Msg("link is back")
	}
	d.nudge()
}

// report starts a promotion for each lost server that is this one's to report, and returns when the next one is due.
func (d *Daemon) report() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	const idle = time.Hour
	if !d.confirmed {
		return 100 * time.Millisecond
	}
	lost := map[string]bool{}
	for name, p := range d.peers {
		if p.snapshot().Verdict == Lost {
			lost[name] = true
		}
	}
	reports := Reports(d.record, d.Settings.Name, lost, d.Settings.ExaminationTime/2)
	if len(reports) == 0 { // one thing at a time
		reports = d.unable()
	}
	start, wait := Due(time.Now(), d.due, reports, 2*d.Settings.ExaminationTime)
	for _, name := range start {
		d.start("hafs-promote@" + name + ".service")
	}
	if wait == 0 {
		return idle
	}
	return max(wait, time.Millisecond)
}

func (d *Daemon) start(unit string) {
	go func() {
		if err := d.Start(unit); err != nil {
			d.Log.Error().Err(err).Str("unit", unit).Msg("cannot start")
		}
	}()
}

// streamTo dials a server and asks its hafs-gate for a link.
func (d *Daemon) streamTo(s record.Server) dialer {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		client, err := d.Dialer.Dial(ctx, s.Name, s.Address)
		if err != nil {
			return nil, err
		}
		stream, err := openLink(client)
		if err != nil {
			client.Close()
			return nil, fmt.Errorf("open link to %s: %w", s.Name, err)
		}
		return stream, nil
	}
}

// lone is a stream that is alone on its connection: they end together.
type lone struct {
	io.ReadWriteCloser
	client *ssh.Client
}

func (l lone) Close() error {
	l.ReadWriteCloser.Close()
	return l.client.Close()
}

func openLink(client *ssh.Client) (io.ReadWriteCloser, error) {
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	stream, err := session.Stream(s, "link")
	return lone{stream, client}, err
}

// confirmedBefore says whether this server had its record confirmed since it booted: the run directory does not survive a boot.
func (d *Daemon) confirmedBefore() bool {
	text, err := os.ReadFile(d.Settings.Run("confirmed"))
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(string(text), 10, 64)
	return err == nil
}
