package witness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/lab/guests"
	"hafs/lib/node/role"
	"hafs/lib/replication/mirror"
)

// Sight is what one guest looks like from outside.
type Sight struct {
	Name      string
	State     string // up, frozen or down; what follows is empty for a guest that is down
	CutOff    bool
	Settings  config.Settings
	Record    *record.Record
	Confirmed uint64        // generation it has acted on since it booted, 0: none
	Role      role.State    // what hafs-role wrote
	Mirror    mirror.Status // what hafs-mirror wrote
	Address   bool          // the virtual address is on one of its interfaces
	LinkTo    string        // where /system leads
	Problem   string        // why the record could not be read
}

// Look looks at all guests of a lab.
func Look(l *guests.Lab) ([]Sight, error) {
	states, err := l.States()
	if err != nil {
		return nil, err
	}
	cuts, err := l.Cuts()
	if err != nil {
		return nil, err
	}
	var all []Sight
	for _, s := range states {
		sight := Sight{Name: s.Name, State: s.State}
		for _, c := range cuts {
			sight.CutOff = sight.CutOff || c == guests.Cut{From: s.Name}
		}
		if s.State != "down" {
			sight.fill(s.LeaderPID)
		}
		all = append(all, sight)
	}
	return all, nil
}

func (s *Sight) fill(leader int) {
	r, err := openRoot(leader)
	if err != nil {
		s.Problem = err.Error()
		return
	}
	defer r.Close()
	if s.Settings, err = readSettings(r); err != nil {
		s.Problem = err.Error()
		return
	}
	have, err := readRecord(r, s.Settings.ClusterDirectory)
	if err != nil {
		s.Problem = err.Error()
		return
	}
	s.Record = &have
	if text, err := r.read(s.Settings.Run("confirmed")); err == nil {
		s.Confirmed, _ = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	}
	readJSON(r, s.Settings.Run("role.json"), &s.Role)
	readJSON(r, s.Settings.Run("mirror.json"), &s.Mirror)
	s.LinkTo, _ = r.link(have.FS.Link)
	s.Address = hasAddress(leader, have.VirtualIP())
}

// readJSON leaves into as it is when there is no such file, or half of one: whoever writes it replaces it whole, so the next look
// finds it.
func readJSON(r *root, path string, into any) {
	if text, err := r.read(path); err == nil {
		_ = json.Unmarshal(text, into)
	}
}

func readSettings(r *root) (config.Settings, error) {
	f, err := r.open(config.DefaultPath, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Settings{}, fmt.Errorf("HAFS is not deployed: %w", err)
	} else if err != nil {
		return config.Settings{}, err
	}
	defer f.Close()
	return config.Load(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}

// readRecord opens all three files through the folder it found first, so that they are of one generation.
func readRecord(r *root, dir string) (record.Record, error) {
	d, err := r.open(dir, os.O_RDONLY, 0)
	if err != nil {
		return record.Record{}, err
	}
	defer d.Close()
	texts := map[string][]byte{}
	for _, name := range []string{record.ServerListFile, record.FileServerFile, record.DataRedundancyFile} {
		text, err := (&root{d}).read(name)
		if err != nil {
			return record.Record{}, err
		}
		texts[name] = text
	}
	return record.Decode(texts)
}

// hasAddress looks into the routing table of the guest's network namespace: every address of its own is in there as a local one.
func hasAddress(leader int, ip string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/fib_trie", leader))
	if err != nil {
		return false
	}
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if strings.HasSuffix(string(line), "-- "+ip) && i+1 < len(lines) && strings.Contains(string(lines[i+1]), "host LOCAL") {
			return true
		}
	}
	return false
}
