package link

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/problem"
)

// bareness is what this server sees of its own directory.
type bareness struct {
	looked     bool // it has seen anything yet
	how        gate.Bareness
	held       bool // it has held the share since this program started
	problem    problem.Problem
	free, size uint64 // bytes of its file system; no size: it is not known
}

// bootPatience is for how long after a boot a file system may be mounted late: systemd waits 90 s for its device, and 90 s for the mount.
const bootPatience = 3 * time.Minute

// told is what others are told. FS has a server failed for it, other than itself, so that one says nothing of a file system that may only not be mounted yet.
// up is for how long this machine has run.
func (b bareness) told(fs bool, up time.Duration) gate.Bareness {
	if b.how == gate.Unmarked && !b.held && !fs && up < bootPatience {
		return ""
	}
	return b.how
}

// shareEvery is how often a server looks whether its directory holds the share.
const shareEvery = time.Second

// followShare looks again and again whether this server's directory holds the share. It blocks when the disk hangs, which is the canary's business.
func (d *Daemon) followShare(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		r := d.record
		d.mu.Unlock()
		d.lookAtShare(r)
		d.refilled(r)
		sleep(ctx, shareEvery)
	}
}

func (d *Daemon) lookAtShare(r record.Record) {
	how, err := gate.Look(r.DataDirectory, r.Cluster)
	b := bareness{looked: true, how: how}
	if how != gate.Unmarked { // else this is some other file system
		b.free, b.size = space(r.DataDirectory)
	}
	if err != nil {
		b.problem = problem.Problem{ID: problem.UnmountedShare, Part: r.DataDirectory, Text: err.Error()}
	}
	if how == gate.EmptyDisk && r.Role(d.Settings.Name) != record.RoleFS {
		b.problem.ID = problem.EmptyDisk
	}
	d.mu.Lock()
	b.held = d.bare.held || how == ""
	d.bare = b
	d.mu.Unlock()
}

// refilled takes the note of hafs-promote init --empty away when the copy is whole again, or does not count.
func (d *Daemon) refilled(r record.Record) {
	if _, err := os.Lstat(d.Settings.Refilling()); err != nil {
		return
	}
	over := false
	switch r.Role(d.Settings.Name) {
	case record.RoleFailed:
		over = d.fit(r)
	case record.RoleDRS1, record.RoleDRS2:
		p := readPosition(d.Settings.Position())
		over = p != nil && p.Complete
	default:
		over = true
	}
	if !over {
		return
	}
	if err := d.Machine.RemoveAll("forget that the copy is being filled", d.Settings.Refilling()); err != nil {
		d.Log.Error().Err(err).Msg("this server goes on saying that it is being filled")
	}
}

// noteBare keeps since when servers have said that their directories do not hold the share; with d.mu held. A file sharing server whose own does not hold it
// heeds nobody: what it lacks all others may lack for the same reason, and theirs are the
// copies that are left.
func (d *Daemon) noteBare(fs bool, now time.Time) {
	before := d.bareSince
	d.bareSince = map[string]time.Time{}
	if !fs || d.bare.how != "" {
		return
	}
	for name, p := range d.peers {
		if s := p.snapshot(); s.Verdict != Alive || s.Facts.Bare == "" || d.record.Role(name) == record.RoleFailed {
			continue
		}
		d.bareSince[name] = now
		if at, known := before[name]; known {
			d.bareSince[name] = at
		}
	}
}

func readPosition(path string) *repair.Position {
	var p repair.Position
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &p) != nil {
		return nil
	}
	return &p
}
