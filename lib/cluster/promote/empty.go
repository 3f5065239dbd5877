package promote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/system"
)

// Empty has this server take an empty directory, that of a new disk, in the place of its copy of the share. The copy claims to be whole no more before the
// directory is marked, so that whoever fills it then (hafs-role, or the server that feeds this one) fills it as a whole.
func (p Promoter) Empty(ctx context.Context, m system.Machine) error {
	store := record.Store{Directory: p.Settings.StateDirectory}
	r, err := store.Current()
	if err != nil {
		return err
	}
	if err := p.takesEmpty(ctx, r); err != nil || p.DryRun {
		return status(err)
	}
	if err := m.MakeDirectory("make copy's directory", filepath.Dir(p.Settings.Position()), 0o755); err != nil {
		return err
	}
	for _, file := range []string{p.Settings.Position(), p.Settings.Redo()} {
		if err := m.RemoveAll("forget "+filepath.Base(file), file); err != nil {
			return err
		}
	}
	if r.Role(p.Settings.Name) != record.RoleSpare {
		if err := m.WriteNew("note that the copy is being filled", p.Settings.Refilling(), nil, 0o644); err != nil {
			return err
		}
	}
	if err := m.SyncDirectory("sync copy's directory", filepath.Dir(p.Settings.Position())); err != nil {
		return err
	}
	// Another server may have asked at the same moment. It has left its note before it asks again, like this one, so at least one of them sees the other's.
	if err := errors.Join(p.takesEmpty(ctx, r), unchanged(store, r)); err != nil {
		return status(errors.Join(err, m.RemoveAll("forget that the copy is being filled", p.Settings.Refilling())))
	}
	if err := writeMarker(m, r); err != nil {
		return err
	}
	p.Log.Info().Str("directory", r.DataDirectory).Str("role", string(r.Role(p.Settings.Name))).Msg("the empty directory is taken: it is filled by itself")
	return nil
}

// unchanged refuses when the record is another one than it was: this server may have become another one that leaves a note, or leaves none.
func unchanged(store record.Store, r record.Record) error {
	now, err := store.Current()
	if err == nil && now.Generation != r.Generation {
		err = repair.Refusal{Reason: fmt.Sprintf("generation %d has come while the disk was taken: try again", now.Generation)}
	}
	return err
}

// takesEmpty refuses, without any change, what is not to be taken.
func (p Promoter) takesEmpty(ctx context.Context, r record.Record) error {
	self, directory := p.Settings.Name, r.DataDirectory
	if r.Role(self) == record.RoleFS {
		return repair.Refusal{Reason: Untaken(r, self, nil)}
	}
	err := gate.CheckMarker(directory, r.Cluster)
	switch {
	case err == nil:
		return repair.Nothing{Reason: fmt.Sprintf("%s on %s holds the share already", directory, self)}
	case !errors.Is(err, gate.ErrNoMarker):
		return repair.Refusal{Reason: err.Error()}
	}
	if empty, err := gate.Empty(directory); err != nil {
		return err
	} else if !empty {
		return repair.Refusal{Reason: fmt.Sprintf("%s on %s is not empty: move its files away first", directory, self)}
	}
	table, err := os.ReadFile("/etc/fstab")
	if err == nil {
		if at := unmounted(string(table), directory, gate.MountPoint); at != "" {
			return repair.Refusal{Reason: fmt.Sprintf("/etc/fstab has a file system for %s on %s, which is not mounted: mount it first", at, self)}
		}
	}
	said, err := p.inquire(ctx, r)
	if err != nil {
		return err
	}
	if reason := Untaken(r, self, said); reason != "" {
		return repair.Refusal{Reason: reason}
	}
	return nil
}

// unmounted is where a file system belongs, by the table of them, that the directory would be on and is not: at the directory or above it, up to what is mounted.
func unmounted(table, directory string, mounted func(string) bool) string {
	for at := filepath.Clean(directory); !mounted(at); at = filepath.Dir(at) {
		if tabled(table, at) {
			return at
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return ""
}

// tabled says whether a table of file systems (fstab(5)) has one for a directory.
func tabled(table, directory string) bool {
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) > 1 && !strings.HasPrefix(words[0], "#") && filepath.Clean(words[1]) == filepath.Clean(directory) {
			return true
		}
	}
	return false
}

// inquire asks all other servers what they say of themselves; those that do not answer are left out. It is link.ErrNotRunning when there is nobody to ask.
func (p Promoter) inquire(ctx context.Context, r record.Record) (map[string]link.Details, error) {
	if _, err := p.Links.View(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said := map[string]link.Details{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, s := range r.Servers {
		if s.Name == p.Settings.Name {
			continue
		}
		asking.Go(func() {
			details, err := p.Links.Inquire(ctx, s.Name)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				said[s.Name] = details
			}
		})
	}
	asking.Wait()
	return said, nil
}
