// Package config reads /etc/hafs/hafs.yml, the settings of one server that are not part of the record.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"hafs/lib/host/exitcode"
)

// DefaultPath is where every command looks unless --config says otherwise.
const DefaultPath = "/etc/hafs/hafs.yml"

// Settings of one server. Every key but the name has a default.
type Settings struct {
	Name             string        `yaml:"name"`              // this server, as the record names it
	Port             int           `yaml:"port"`              // TCP port of hafs-sshd, the same on every server
	ExaminationTime  time.Duration `yaml:"examination_time"`  // silence after which a peer has failed, the same on every server
	StateDirectory   string        `yaml:"state_directory"`   // generations, what was kept aside
	RunDirectory     string        `yaml:"run_directory"`     // sockets and what the daemons say of themselves
	ClusterDirectory string        `yaml:"cluster_directory"` // leads to the newest generation
	SSHDirectory     string        `yaml:"ssh_directory"`     // keys and host-key trust
	Interface        string        `yaml:"interface"`         // for the virtual address; empty: the one with this server's address
	Transport        string        `yaml:"transport"`         // how copies are fed: stream, or paper (sshfs and rsync)
	Acknowledge      string        `yaml:"acknowledge"`       // when a client's change is answered: local, drs1 (most DRS1s have it), or drs2 (and their DRS2s)
	WithoutCopies    string        `yaml:"without_copies"`    // what becomes of clients' changes while no replica is whole: serve, or refuse
	FillBandwidth    int           `yaml:"fill_bandwidth"`    // KiB/s of content for a replica that is being filled; 0: no limit
	ScrubEvery       time.Duration `yaml:"scrub_every"`       // how often contents of replicas are compared; 0: never
	ScrubBandwidth   int           `yaml:"scrub_bandwidth"`   // KiB/s that are read for that; 0: no limit
	TrashRetention   time.Duration `yaml:"trash_retention"`   // how long replicas keep what was deleted; 0: not at all
	DeleteLimit      int           `yaml:"delete_limit"`      // percent of the files that may be deleted on replicas within a minute; 100: all
	RsyncBandwidth   int           `yaml:"rsync_bandwidth"`   // KiB/s for a full pass of rsync to a DRS2; 0: no limit
}

// Values of Transport, Acknowledge and WithoutCopies.
const (
	TransportStream  = "stream"
	TransportPaper   = "paper"
	AcknowledgeLocal = "local"
	AcknowledgeDRS1  = "drs1"
	AcknowledgeDRS2  = "drs2"
	WithoutServe     = "serve"
	WithoutRefuse    = "refuse"
)

// Defaults are the settings of a server whose file holds only its name.
func Defaults() Settings {
	return Settings{
		Port:             7722,
		ExaminationTime:  time.Second,
		StateDirectory:   "/var/lib/hafs",
		RunDirectory:     "/run/hafs",
		ClusterDirectory: "/etc/hafs/cluster",
		SSHDirectory:     "/etc/hafs/ssh",
		Transport:        TransportStream,
		Acknowledge:      AcknowledgeDRS1,
		WithoutCopies:    WithoutServe,
		ScrubEvery:       7 * 24 * time.Hour,
		ScrubBandwidth:   10 << 10,
		TrashRetention:   24 * time.Hour,
		DeleteLimit:      50,
	}
}

// Load reads the settings strictly: an unknown key or an impossible value is refused with the name of the file.
func Load(path string) (Settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	s := Defaults()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Settings{}, exitcode.With(exitcode.Refused, fmt.Errorf("settings %s: %s", path, oneLine(err)))
	}
	if err := s.validate(); err != nil {
		return Settings{}, exitcode.With(exitcode.Refused, fmt.Errorf("settings %s: %w", path, err))
	}
	return s, nil
}

// oneLine takes the YAML reader's several lines together: "line 3: field nam not found in type ...".
func oneLine(err error) string {
	var several *yaml.TypeError
	if errors.As(err, &several) {
		return strings.ReplaceAll(strings.Join(several.Errors, "; "), " not found in type config.Settings", " is not known")
	}
	return strings.TrimPrefix(err.Error(), "yaml: ")
}

// minExaminationTime leaves room for a few heartbeats on a busy machine.
const minExaminationTime = 100 * time.Millisecond

func (s Settings) validate() error {
	if s.Name == "" {
		return errors.New("name is missing: which server of the record is this?")
	}
	if s.Port < 1 || s.Port > 65535 {
		return fmt.Errorf("port %d is not a TCP port", s.Port)
	}
	if s.ExaminationTime < minExaminationTime {
		return fmt.Errorf("examination_time %s is shorter than %s", s.ExaminationTime, minExaminationTime)
	}
	for key, n := range map[string]int64{
		"rsync_bandwidth": int64(s.RsyncBandwidth), "fill_bandwidth": int64(s.FillBandwidth), "scrub_bandwidth": int64(s.ScrubBandwidth),
		"scrub_every": int64(s.ScrubEvery), "trash_retention": int64(s.TrashRetention),
	} {
		if n < 0 {
			return fmt.Errorf("%s is negative", key)
		}
	}
	if s.DeleteLimit < 1 || s.DeleteLimit > 100 {
		return fmt.Errorf("delete_limit %d is no percentage from 1 to 100", s.DeleteLimit)
	}
	for _, one := range []struct {
		key, value string
		of         []string
	}{
		{"transport", s.Transport, []string{TransportStream, TransportPaper}},
		{"acknowledge", s.Acknowledge, []string{AcknowledgeLocal, AcknowledgeDRS1, AcknowledgeDRS2}},
		{"without_copies", s.WithoutCopies, []string{WithoutServe, WithoutRefuse}},
	} {
		if !slices.Contains(one.of, one.value) {
			return fmt.Errorf("%s %q is none of %s", one.key, one.value, strings.Join(one.of, ", "))
		}
	}
	for key, dir := range map[string]string{
		"state_directory": s.StateDirectory, "run_directory": s.RunDirectory,
		"cluster_directory": s.ClusterDirectory, "ssh_directory": s.SSHDirectory,
	} {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
			return fmt.Errorf("%s %q is not an absolute directory below /", key, dir)
		}
	}
	return nil
}

// Run is a file in the run directory.
func (s Settings) Run(name string) string { return filepath.Join(s.RunDirectory, name) }

// State is a file in the state directory.
func (s Settings) State(name string) string { return filepath.Join(s.StateDirectory, name) }

// Redo is what hafs-mirror is changing in place in this server's copy.
func (s Settings) Redo() string { return filepath.Join(s.StateDirectory, "copy", "redo") }

// Torn says whether a file of this server's copy may be neither old nor new: a change in place is under way, or was broken off.
func (s Settings) Torn() bool {
	_, err := os.Lstat(s.Redo())
	return err == nil
}

// Position is where the position of this server's copy is kept. It has a folder of its own: it changes often, and several programs watch the one above.
func (s Settings) Position() string { return filepath.Join(s.StateDirectory, "copy", "position.json") }

// Refilling is there from when an empty disk took the place of this server's copy until the copy is whole again.
func (s Settings) Refilling() string { return filepath.Join(s.StateDirectory, "copy", "refilling") }

// Numbers is where the next hafs-mirror begins to number changes.
func (s Settings) Numbers() string { return filepath.Join(s.StateDirectory, "copy", "numbers") }

// SSH is a file in the directory of keys.
func (s Settings) SSH(name string) string { return filepath.Join(s.SSHDirectory, name) }
