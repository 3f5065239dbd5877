package promote

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/system"
)

// Init lays the first generation on a server that has none, and the marker into its share. A directory that holds files but no marker
// is taken for the share only on FS: anywhere else its content would be replaced by the share's, so it is refused.
func Init(m system.Machine, s config.Settings, first record.Record) error {
	store := record.Store{Machine: m, Directory: s.StateDirectory}
	have, err := store.Current()
	if err == nil {
		return exitcode.With(exitcode.Nothing, fmt.Errorf("%s has generation %d already; the record belongs to the cluster now", s.Name, have.Generation))
	}
	if !errors.Is(err, record.ErrNone) {
		return err
	}
	if _, known := first.Server(s.Name); !known {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s is not in the server list", s.Name))
	}
	if err := mark(m, s, first); err != nil {
		return err
	}
	return store.Install(first)
}

// Renew lays a record, copied from a server that is well, on one whose own cannot be read. What was there is kept aside. The server then learns from the
// others whether it is the newest, as after any start.
func Renew(m system.Machine, s config.Settings, whole record.Record) error {
	store := record.Store{Machine: m, Directory: s.StateDirectory}
	have, err := store.Current()
	if err == nil {
		return exitcode.With(exitcode.Nothing, fmt.Errorf("the record of %s can be read: %s", s.Name, have))
	}
	if errors.Is(err, record.ErrNone) {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s has no record that could be damaged: hafs-promote init DIR", s.Name))
	}
	if _, known := whole.Server(s.Name); !known {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s is not in the server list", s.Name))
	}
	damaged, linkErr := os.Readlink(store.Link())
	if linkErr != nil {
		return linkErr
	}
	if err := m.Rename("keep damaged generation", filepath.Join(s.StateDirectory, damaged), filepath.Join(s.StateDirectory, damaged+".damaged")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := m.RemoveAll("take away current", store.Link()); err != nil {
		return err
	}
	return store.Install(whole)
}

func mark(m system.Machine, s config.Settings, first record.Record) error {
	directory := first.DataDirectory
	err := gate.CheckMarker(directory, first.Cluster)
	if err == nil || !errors.Is(err, gate.ErrNoMarker) {
		return exitcode.With(exitcode.Refused, err)
	}
	if empty, err := gate.Empty(directory); err != nil {
		return err
	} else if !empty && first.FS.Name != s.Name {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s on %s is not empty and has no %s: move its files away first", directory, s.Name, gate.Marker))
	}
	return writeMarker(m, first)
}

func writeMarker(m system.Machine, r record.Record) error {
	if err := m.WriteNew("write share marker", filepath.Join(r.DataDirectory, gate.Marker), []byte("cluster: "+r.Cluster+"\n"), 0o644); err != nil {
		return err
	}
	return m.SyncDirectory("sync share", r.DataDirectory)
}
