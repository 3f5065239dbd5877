package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Directory is a replica that is reached as a directory: an sshfs mount, or any local one.
type Directory struct {
	Share    *tree.Root
	Path     string
	Mount    string // when set, the path must be a FUSE mount, and not one of another server than this
	Unmarked bool   // allow that neither side has a marker
	Workers  int
	Sync     bool // sync files before they get their names, unless there are more than syncFiles at once
	Before   func(step string) error
	Show     func(Step) // when set, gets the steps instead of the replica
	Log      zerolog.Logger

	busy     sync.Mutex // one Apply at a time
	replica  *tree.Root
	fidelity change.Fidelity
	marker   []byte        // of both
	checked  *change.Entry // the replica's marker when its bytes were read
	journal  *journal
	told     sync.Map // paths and conditions that were logged once
	moved    atomic.Int64
	lacks    *lacks // nil: an error of one path is one of all
}

// DefaultWorkers hides the round trips of sshfs in a LAN; more only compete for the processor of two-core servers.
const DefaultWorkers = 8

// Progress counts the calls made: a replica for which it stands still while it has work does not answer.
func (d *Directory) Progress() int64 { return d.moved.Load() }

// lacking is what this replica lacks; nil if that is not kept.
func (d *Directory) lacking() *lacks { return d.lacks }

// Apply deals with changes; see Transport.
func (d *Directory) Apply(ctx context.Context, changes []change.Change) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	if err := d.check(asksForAll(changes)); err != nil {
		return err
	}
	g := &beside{replica: d.replica, limit: newLimiter(d.Workers), gathering: &gathering{
		share: d.Share, fidelity: d.fidelity, journal: d.journal, left: d.left, progress: d.progress, incomplete: map[string]bool{},
		same: func(path string) (bool, error) { return tree.SameContent(d.Share, d.replica, path) },
	}}
	if d.lacks != nil {
		g.lacking, g.kept = map[string]failure{}, map[string]bool{}
	}
	if g.all = asksForAll(changes); g.all {
		d.journal.begin()
	}
	if d.Show == nil {
		var err error
		if changes, err = d.mover().move(changes); err != nil {
			return err
		}
	}
	d.gather(ctx, g, changes)
	if err := ctx.Err(); err != nil {
		return err
	}
	steps := Plan(g.pairs, d.fidelity, g.incomplete)
	if d.Show != nil {
		for _, s := range steps {
			d.Show(s)
		}
		g.dealt(d.lacks, nil, d.Log)
		return g.err()
	}
	for _, s := range steps {
		d.Log.Debug().Stringer("step", s).Send()
	}
	if count(steps, Delete) > 0 { // what the deletes rest on must still be so
		if err := d.Share.StillThere(); err != nil {
			return fmt.Errorf("%w: %w", ErrShareGone, err)
		}
	}
	a := &applying{
		share: d.Share, replica: d.replica, fidelity: d.fidelity, journal: d.journal, limit: g.limit,
		sync: d.Sync && count(steps, Write) <= syncFiles, noLinks: d.noLinks, progress: d.progress,
	}
	err := a.carry(ctx, steps)
	if d.lacks != nil && ctx.Err() == nil {
		var failed map[string]failure
		if failed, err = d.blame(a); failed != nil {
			g.looked = lookedAt(changes, nil)
			g.dealt(d.lacks, failed, d.Log)
		}
	}
	if err != nil {
		return err
	}
	if err := g.err(); err != nil {
		return err
	}
	if g.all {
		d.journal.retain()
	}
	return nil
}

func (d *Directory) gather(ctx context.Context, g *beside, changes []change.Change) {
	paths, scans := asked(changes)
	g.looks(ctx, paths)
	for _, dir := range scans {
		g.scan(ctx, dir)
	}
	g.limit.wait()
	if len(g.suspects) > 0 {
		g.looks(ctx, g.suspects)
	}
	g.reread(ctx, time.Now())
	if missing := g.otherNames(); len(missing) > 0 {
		g.looks(ctx, missing)
	}
}

// syncFiles is how many files of one batch are synced one by one. An sftp-server does one thing at a time, and a sync takes it a millisecond or
// more. In a larger batch the kernel writes the files back when it likes, as after cp or rsync: a replica that loses power then may
// have new files that are empty, which the comparison it is taken back with finds by their size.
const syncFiles = 256

func count(steps []Step, op Op) int {
	n := 0
	for _, s := range steps {
		if s.Op == op {
			n++
		}
	}
	return n
}

// check makes sure that both sides are what they should be, before anything is concluded from them. The replica's directory is opened anew
// whenever everything is to be compared, and must then be found the same before each batch.
func (d *Directory) check(fresh bool) error {
	d.progress()
	if err := d.Share.StillThere(); err != nil {
		return fmt.Errorf("%w: %w", ErrShareGone, err)
	}
	if d.replica != nil && fresh && d.replica.StillThere() != nil {
		d.replica.Close()
		d.replica = nil
	}
	if d.replica == nil {
		return d.open()
	}
	if err := d.replica.StillThere(); err != nil {
		return err
	}
	e, err := d.replica.Lstat(change.Marker)
	if err != nil {
		return err
	}
	share, err := d.Share.Marker()
	if err != nil {
		return fmt.Errorf("read the share's marker: %w", err)
	}
	if c := d.checked; c != nil && e != nil && e.Kind == c.Kind && e.Size == c.Size && e.Mtime == c.Mtime && e.Ino == c.Ino && bytes.Equal(share, d.marker) {
		return nil // reading the replica's would be three more round trips
	}
	return d.checkMarker()
}

func (d *Directory) open() error {
	if d.Mount != "" {
		if err := checkMount(d.Path, d.Mount); err != nil {
			return err
		}
	}
	replica, err := tree.Open(d.Path)
	if err != nil {
		return fmt.Errorf("open replica: %w", err)
	}
	fuse, err := replica.IsFUSE()
	if err != nil {
		return errors.Join(err, replica.Close())
	}
	d.fidelity = change.Fidelity{}
	if fuse {
		d.fidelity = change.OverSSHFS
	}
	replica.Before, replica.NoXattrs, replica.Refused = d.Before, d.fidelity.NoXattrs, d.refused
	d.replica, d.journal = replica, newJournal()
	if err := d.checkMarker(); err != nil {
		d.replica = nil
		return errors.Join(err, replica.Close())
	}
	return nil
}

func (d *Directory) checkMarker() error {
	share, err := d.Share.Marker()
	if err != nil {
		return fmt.Errorf("read the share's marker: %w", err)
	}
	replica, err := d.replica.Marker()
	if err != nil {
		return fmt.Errorf("read the replica's marker: %w", err)
	}
	if err := CheckMarkers(share, replica, d.Unmarked); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	d.marker = share
	d.checked, err = d.replica.Lstat(change.Marker)
	return err
}

// Close gives up the replica. A call that hangs in it keeps what it has opened.
func (d *Directory) Close() {
	if d.busy.TryLock() {
		defer d.busy.Unlock()
		if d.replica != nil {
			d.replica.Close()
			d.replica = nil
		}
	}
}

func (d *Directory) progress() { d.moved.Add(1) }

func (d *Directory) once(key string) bool {
	_, told := d.told.LoadOrStore(key, true)
	return !told
}

func (d *Directory) left(path, reason string) {
	if d.once(reason + " " + path) {
		d.Log.Warn().Str("path", path).Msg("not replicated: " + reason)
	}
}

func (d *Directory) refused(attribute string, err error) {
	namespace, _, _ := strings.Cut(attribute, ".")
	if d.once("attributes " + namespace) {
		d.Log.Error().Err(err).Str("attribute", attribute).Str("replica", d.Path).Msg("this replica does not take extended attributes like this one: files are without them")
	}
}

func (d *Directory) noLinks(err error) {
	if d.once("no hard links") {
		d.Log.Warn().Err(err).Str("replica", d.Path).Msg("this replica takes no hard links: each name gets a copy of its own")
	}
}

// checkMount decides by the kernel's table of mounts, which can be read even when the mount itself hangs.
func checkMount(path, server string) error {
	text, err := readMounts()
	if err != nil {
		return err
	}
	source, fstype, mounted := findMount(text, path)
	if !mounted || !strings.HasPrefix(fstype, "fuse") {
		return Refusal{fmt.Sprintf("%s is not mounted", path)}
	}
	if host, _, named := strings.Cut(source, ":"); named && host != server && !isPairName(host) {
		return Refusal{fmt.Sprintf("%s is mounted from %s, not from %s", path, host, server)}
	}
	return nil
}

// isPairName recognises the names S1, S2, … that stand for whoever is DRS1 of a pair.
func isPairName(host string) bool {
	digits, found := strings.CutPrefix(host, "S")
	return found && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// findMount finds the uppermost mount on a path in the text of /proc/self/mountinfo (proc(5)).
func findMount(mountinfo []byte, path string) (source, fstype string, found bool) {
	for line := range bytes.Lines(mountinfo) {
		before, after, _ := strings.Cut(strings.TrimSpace(string(line)), " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if len(fields) > 4 && len(tail) > 1 && mountPath.Replace(fields[4]) == path {
			fstype, source, found = tail[0], mountPath.Replace(tail[1]), true
		}
	}
	return source, fstype, found
}

// mountPath undoes the kernel's escapes.
var mountPath = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func readMounts() ([]byte, error) { return os.ReadFile("/proc/self/mountinfo") }

// Check makes sure that both sides are what they should be, without changing anything.
func (d *Directory) Check() error {
	d.busy.Lock()
	defer d.busy.Unlock()
	return d.check(true)
}
