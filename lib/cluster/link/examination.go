package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
)

// Servers may have different examination times while that setting is being changed. Each says its own in every heartbeat and answer; see lease.Times.

// rememberTimes notes, before this server gives its first answer, that another examination time may be in force from now on. What is noted already may be in
// force still: promises outlive the program that gave them.
func (d *Daemon) rememberTimes(now time.Time) error {
	var before lease.Times
	text, err := os.ReadFile(d.timesPath())
	if err == nil {
		err = json.Unmarshal(text, &before)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil || before.Longest < 0 || before.Shortest < 0 || before.Shortest > before.Longest {
		return fmt.Errorf("%s is damaged (%v): wait for the longest examination time this server has had lately, then remove it", d.timesPath(), err)
	}
	d.started, d.times = now, before.Start(d.Settings.ExaminationTime)
	if d.times == before {
		return nil
	}
	time.AfterFunc(d.times.Longest, d.nudge)
	return d.saveTimes(d.times)
}

func (d *Daemon) timesPath() string { return d.Settings.State("examination.json") }

func (d *Daemon) saveTimes(t lease.Times) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := d.Machine.Replace("note examination times", d.timesPath(), text, 0o600); err != nil {
		return err
	}
	return d.Machine.SyncDirectory("sync examination times", d.Settings.StateDirectory)
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
	if settled == d.times {
		return
	}
	if err := d.saveTimes(settled); err != nil {
		d.Log.Error().Err(err).Msg("cannot note the examination time: this server keeps to the longer one")
		return
	}
	d.times = settled
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
