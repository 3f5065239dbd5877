package link

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/testkit/recordtest"
)

// housed is a server with a directory for its share, and a copy that says that it is whole.
func housed(t *testing.T, name, line string) *Daemon {
	t.Helper()
	r := recordtest.Parse(t, line)
	r.DataDirectory = t.TempDir()
	r.FS.SharedArea = r.DataDirectory
	d := newVoter(t, name, t.TempDir(), r)
	put(t, filepath.Join(r.DataDirectory, gate.Marker), "cluster: test\n")
	put(t, d.Settings.Position(), `{"Generation":7,"Number":5,"Complete":true}`)
	d.lookAtShare(r)
	return d
}

func located(t *testing.T, d *Daemon) *repair.Position {
	t.Helper()
	p, err := d.position(d.record)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// Where no share is there is no copy, whatever is noted of the one before; the server itself works and votes.
func TestServerWithoutItsShare(t *testing.T) {
	d := housed(t, "W3", "fs=L1 pairs=W3/M2 spares=M3")
	if f, p := d.facts(d.record, 0), located(t, d); f.Bare != "" || f.Problem != "" || p == nil || !p.Complete {
		t.Errorf("with its share: %+v %+v", f, p)
	}
	if err := os.Remove(filepath.Join(d.record.DataDirectory, gate.Marker)); err != nil {
		t.Fatal(err)
	}
	d.lookAtShare(d.record)
	if f, p := d.facts(d.record, 0), located(t, d); !d.bare.held || f.Bare != gate.Unmarked || !strings.Contains(f.Problem, gate.ErrNoMarker.Error()) || p != nil {
		t.Errorf("without its share: %+v %+v", f, p)
	}
}

func TestServerWithoutItsShareIsNotFit(t *testing.T) {
	d := housed(t, "W3", "fs=L1 pairs=M2/M3 failed=W3")
	put(t, d.Settings.Run("role.json"), `{"generation":7,"fit":true}`)
	if !d.facts(d.record, 0).Fit {
		t.Error("with its share: not fit")
	}
	if err := os.Remove(filepath.Join(d.record.DataDirectory, gate.Marker)); err != nil {
		t.Fatal(err)
	}
	d.lookAtShare(d.record)
	if d.facts(d.record, 0).Fit {
		t.Error("without its share: fit")
	}
}

// The silence of a moment, or a share that is there again, begins the time anew.
func TestSinceWhenAServerHasNoShare(t *testing.T) {
	d := housed(t, "L1", "fs=L1 pairs=W3/M2 spares=M3")
	d.peers["W3"] = &peerLink{peer: newPeer("W3", nil, examination, 0)}
	start := time.Now()
	said := func(after time.Duration, how gate.Bareness, answered time.Time) time.Time {
		p := d.peers["W3"]
		p.facts, p.times.Answered = Facts{Bare: how}, answered
		d.noteBare(true, start.Add(after))
		return d.bareSince["W3"]
	}
	if at := said(0, gate.EmptyDisk, start); !at.Equal(start) {
		t.Error(at)
	}
	if at := said(5*time.Second, gate.Unmarked, start); !at.Equal(start) {
		t.Error("told again:", at)
	}
	if at := said(6*time.Second, "", start); !at.IsZero() {
		t.Error("mounted:", at)
	}
	if at := said(7*time.Second, gate.EmptyDisk, start.Add(-time.Minute)); !at.IsZero() {
		t.Error("silent:", at)
	}
	if at := said(8*time.Second, gate.EmptyDisk, start); !at.Equal(start.Add(8 * time.Second)) {
		t.Error(at)
	}
	if d.noteBare(false, start); len(d.bareSince) > 0 {
		t.Error("not the file sharing server:", d.bareSince)
	}
	d.bare.how = gate.Unmarked
	if at := said(8*time.Second, gate.EmptyDisk, start); !at.IsZero() {
		t.Error("it has no share itself:", at)
	}
}

// A file system that is mounted late is not one that is lost.
func TestWhatIsToldOfADirectoryWithoutTheShare(t *testing.T) {
	for what, c := range map[string]struct {
		b    bareness
		fs   bool
		up   time.Duration
		want gate.Bareness
	}{
		"just booted":                    {bareness{how: gate.Unmarked}, false, bootPatience - 1, ""},
		"just booted, the FS":            {bareness{how: gate.Unmarked}, true, bootPatience - 1, gate.Unmarked},
		"never mounted":                  {bareness{how: gate.Unmarked}, false, bootPatience, gate.Unmarked},
		"it held the share, just booted": {bareness{how: gate.Unmarked, held: true}, false, time.Second, gate.Unmarked},
		"a new disk":                     {bareness{how: gate.EmptyDisk}, false, time.Second, gate.EmptyDisk},
		"the share":                      {bareness{held: true}, false, time.Hour, ""},
	} {
		if got := c.b.told(c.fs, c.up); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// Nobody has looked yet whether the disk is there that the notes are of.
func TestNothingIsClaimedBeforeTheDirectoryWasSeen(t *testing.T) {
	d := housed(t, "W3", "fs=L1 pairs=M2/M3 failed=W3")
	put(t, d.Settings.Run("role.json"), `{"generation":7,"fit":true}`)
	for _, looked := range []bool{true, false} {
		d.bare.looked = looked
		if reply := d.answer("L1", Request{Kind: Locate, Cluster: "test"}); (reply.Position != nil) != looked || (reply.Error == "") != looked {
			t.Errorf("looked %v: %+v", looked, reply)
		}
		if fit := d.facts(d.record, 0).Fit; fit != looked {
			t.Errorf("looked %v: fit %v", looked, fit)
		}
	}
}

func TestWhenACopyIsNoMoreBeingFilledAnew(t *testing.T) {
	for _, c := range []struct {
		name, line, position, role string
		before                     int // how many seconds hafs-role said so before the disk was taken
		over                       bool
	}{
		{"a DRS that is being filled", "fs=L1 pairs=W3/M2 spares=M3", `{"Generation":7}`, "", -9, false},
		{"a DRS whose position cannot be read", "fs=L1 pairs=W3/M2 spares=M3", ``, "", -9, false},
		{"a whole DRS", "fs=L1 pairs=W3/M2 spares=M3", `{"Generation":7,"Complete":true}`, "", -9, true},
		{"a failed one that is brought up to date", "fs=L1 pairs=M2/M3 failed=W3", `{}`, `{"generation":7}`, -9, false},
		{"a failed one that is fit", "fs=L1 pairs=M2/M3 failed=W3", `{}`, `{"generation":7,"fit":true}`, -9, true},
		{"a failed one that was fit", "fs=L1 pairs=M2/M3 failed=W3", `{}`, `{"generation":7,"fit":true}`, 9, false},
		{"a spare", "fs=L1 pairs=M2/M3 spares=W3", `{}`, "", -9, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := housed(t, "W3", c.line)
			put(t, d.Settings.Position(), c.position)
			put(t, d.Settings.Refilling(), "")
			put(t, d.Settings.Run("role.json"), c.role)
			at := time.Now().Add(time.Duration(c.before) * time.Second)
			if err := os.Chtimes(d.Settings.Refilling(), at, at); err != nil {
				t.Fatal(err)
			}
			d.refilled(d.record)
			if got := d.details(d.record, true, 0).Refilling; got == c.over {
				t.Errorf("says that it is being filled: %v", got)
			}
		})
	}
}

// What FS hears of a server leads to a report.
func TestServerWithoutItsShareIsReported(t *testing.T) {
	d := housed(t, "L1", "fs=L1 pairs=W3/M2 spares=M3")
	for _, name := range []string{"W3", "M2", "M3"} {
		p := newPeer(name, nil, time.Hour, 0)
		p.times.Answered = time.Now()
		d.peers[name] = &peerLink{peer: p}
	}
	d.peers["W3"].facts.Bare = gate.EmptyDisk
	d.noteBare(true, time.Now().Add(-unableAfter))
	started := make(chan string, 1)
	d.Start = func(unit string) error { started <- unit; return nil }
	d.report()
	if got := <-started; got != "hafs-promote@W3.service" || d.record.Role("W3") != record.RoleDRS1 {
		t.Error(got)
	}
}
