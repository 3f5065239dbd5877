package role

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
)

// What the real rsync makes of the call that brings a copy up to date is let in by the other side's gate.
func TestTheGateLetsThePullIn(t *testing.T) {
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("needs rsync: ", err)
	}
	dir := t.TempDir()
	said, shell := filepath.Join(dir, "said"), filepath.Join(dir, "shell")
	if err := os.WriteFile(shell, []byte("#!/bin/sh\nshift\necho \"$*\" >"+said+"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_ = exec.Command("rsync", pullArguments(filepath.Join(dir, "aside"), shell, dir)...).Run() // the shell says no more than what it was asked
	line, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	order, err := gate.Parse("pull 7 " + strings.TrimSpace(string(line)))
	if err != nil {
		t.Fatal(err)
	}
	r := record.Record{
		Cluster: "test", Generation: 7, DataDirectory: dir, FS: record.FileServer{Name: "L1", SharedArea: dir},
		Servers: []record.Server{{Name: "L1", Status: record.Active}, {Name: "X1", Status: record.Failed}},
	}
	if err := gate.Allow(r, "L1", "X1", gate.Standing{Confirmed: true, Leased: true}, order); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// Nothing is written to a directory that does not hold the share: its file system is not mounted, or its disk is new and nobody has said so.
func TestNothingIsPulledIntoADirectoryWithoutTheShare(t *testing.T) {
	dir := t.TempDir()
	k := &Keeper{Settings: config.Settings{Name: "X1", StateDirectory: t.TempDir()}, Log: zerolog.Nop()}
	t.Setenv("PATH", t.TempDir()) // no rsync: it is not even begun
	r := record.Record{Cluster: "test", Generation: 7, DataDirectory: dir, FS: record.FileServer{Name: "L1", SharedArea: dir}}
	if err := k.pull(t.Context(), r); !errors.Is(err, gate.ErrNoMarker) {
		t.Error(err)
	}
}

// I3: a server is fit by the copy that is here now, not by one that was here before.
func TestCopyThatIsReplacedAfterItWasBroughtUpToDate(t *testing.T) {
	for _, c := range []struct {
		what                  string
		knew, marked, renewed bool
		want                  bool
	}{
		{"as it was", false, true, false, false},
		{"its directory holds the share no more", false, false, false, true},
		{"an empty disk was taken since", false, true, true, true},
		{"the disk that was taken", true, true, true, false},
		{"the disk that was taken, whole", true, true, false, false},
	} {
		if got := (pulled{generation: 7, renewed: c.knew}).replaced(c.marked, c.renewed); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
