package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
)

// Servers may have different examination times while that setting is being changed. Each says its own in every heartbeat and answer; see lease.Times.

// noted is what is kept of examination times.
type noted struct {
	lease.Times
	InUse  time.Duration `json:"in_use_ns,omitempty"` // what this server goes by
	Silent []string      `json:"silent,omitempty"`    // members that say none
}

// rememberTimes notes, before this server gives its first answer, that another examination time may be in force from now on. What is noted already may be in
// force still: promises outlive the program that gave them. The time that the settings say is not gone by while a member says none.
func (d *Daemon) rememberTimes(now time.Time) error {
	var before noted
	text, err := os.ReadFile(d.timesPath())
	if err == nil {
		err = json.Unmarshal(text, &before)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil || before.Longest < 0 || before.Shortest < 0 || before.Shortest > before.Longest || before.InUse < 0 {
		return fmt.Errorf("%s is damaged (%v): wait for the longest examination time this server has had lately, then remove it", d.timesPath(), err)
	}
	if before.InUse == 0 && before.Shortest == before.Longest { // the release before this one
		before.InUse = before.Longest
	}
	d.silent = d.stillSilent(before.Silent)
	told := d.Settings.ExaminationTime
	own := lease.Use(told, before.InUse, d.silent)
	if own != told {
		d.wanted = told
		d.Log.Warn().Str("event", "examination_held").Dur("examination_ms", own).Dur("wanted_ms", told).Strs("silent", d.silent).
			Msg("the examination time stays as it is: members of an older release say none")
	}
	d.Settings.ExaminationTime, d.serving.examination = own, own
	d.started, d.times = now, before.Start(own)
	if d.times != before.Times {
		time.AfterFunc(d.times.Longest, d.nudge)
	}
	return d.saveTimes(noted{d.times, own, d.silent}, before)
}

func (d *Daemon) timesPath() string { return d.Settings.State("examination.json") }

func (d *Daemon) saveTimes(n, before noted) error {
	if n.Times == before.Times && n.InUse == before.InUse && slices.Equal(n.Silent, before.Silent) {
		return nil
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := d.Machine.Replace("note examination times", d.timesPath(), text, 0o600); err != nil {
		return err
	}
	return d.Machine.SyncDirectory("sync examination times", d.Settings.StateDirectory)
}

// stillSilent are the members that say no examination time: those that were heard to, in this run or, by before, in one before it.
func (d *Daemon) stillSilent(before []string) []string {
	var silent []string
	for _, name := range d.record.Members() {
		says, heard := d.says[name]
		if name != d.Settings.Name && (heard && says == 0 || !heard && slices.Contains(before, name)) {
			silent = append(silent, name)
		}
	}
	return silent
}

// changes says whether the examination time of the settings, which was not gone by so far, may be gone by now: when this program starts again.
func (d *Daemon) changes() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wanted > 0 && len(d.silent) == 0
}

// settleTimes forgets examination times that are in force no more.
func (d *Daemon) settleTimes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	self, fsSays, allSay := d.Settings.Name, true, true
	for _, name := range d.record.Members() {
		if says := name == self || d.says[name] > 0; !says {
			allSay = false
			fsSays = fsSays && d.record.Role(name) != record.RoleFS
		}
	}
	settled := d.times.Settle(d.Settings.ExaminationTime, time.Since(d.started), fsSays, allSay)
	silent := d.stillSilent(d.silent)
	if err := d.saveTimes(noted{settled, d.Settings.ExaminationTime, silent}, noted{d.times, d.Settings.ExaminationTime, d.silent}); err != nil {
		d.Log.Error().Err(err).Msg("cannot note the examination time: this server keeps to the longer one")
		return
	}
	d.times, d.silent = settled, silent
}

// said notes the examination time that a server has said; mu is held.
func (d *Daemon) said(name string, examination time.Duration) {
	if before, heard := d.says[name]; heard && before == examination {
		return
	}
	d.says[name] = examination
	d.nudge()
}

// lend is for how long an answer counts for the lease of this server.
func (d *Daemon) lend(said time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.times.Lend(d.Settings.ExaminationTime, said)
}

// pace is the examination time by which heartbeats are sent: FS asks often enough for the member that promises it the shortest time.
func (d *Daemon) pace() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	shortest := d.Settings.ExaminationTime
	if d.record.Role(d.Settings.Name) != record.RoleFS {
		return shortest
	}
	for _, name := range d.record.Members() {
		shortest = d.times.Lend(shortest, max(d.says[name], 0))
	}
	return shortest
}
