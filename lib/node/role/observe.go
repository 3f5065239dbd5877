package role

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/problem"
	"hafs/lib/host/system"
)

// State is what hafs-role leaves in role.json for the other commands.
type State struct {
	Generation uint64            `json:"generation"`
	Role       record.Role       `json:"role"`
	Since      time.Time         `json:"since"`             // when this role was established in this generation
	Fit        bool              `json:"fit"`               // failed in the record, up to date, and ready to be taken back
	Problem    string            `json:"problem,omitempty"` // why the role is not established, or the server not fit
	ProblemID  problem.ID        `json:"problem_id,omitempty"`
	Mounted    map[string]string `json:"mounted,omitempty"` // replica unit → the DRS1 it was started for
	Aside      string            `json:"aside,omitempty"`   // where files are that only this server had when it came back
}

// ReadState reads role.json; a server that just booted has none.
func ReadState(s config.Settings) State {
	var state State
	if text, err := os.ReadFile(s.Run("role.json")); err == nil {
		_ = json.Unmarshal(text, &state)
	}
	return state
}

func writeState(m system.Machine, s config.Settings, state State) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return m.Replace("note role", s.Run("role.json"), text, 0o644)
}

// observe looks at this server.
func observe(ctx context.Context, units system.Units, s config.Settings, r record.Record) (Now, error) {
	now := Now{Mounted: ReadState(s).Mounted}
	_, err := os.Stat(s.Run("confirmed"))
	now.Confirmed = err == nil
	now.Leased = lease.Held(s.Run("lease"))
	_, err = os.Stat(s.Run("draining"))
	now.Draining = err == nil
	now.Torn = s.Torn()
	now.LinkTo, _ = os.Readlink(r.FS.Link)
	if now.Units, now.Ending, err = units.Active(ctx, append(Managed(r), replicaUnits)...); err != nil {
		return Now{}, err
	}
	now.Sessions = sessions(s)
	return now, nil
}

// sessions reads who is in through hafs-gate, and forgets those that have ended.
func sessions(s config.Settings) []Session {
	var open []Session
	files, _ := filepath.Glob(s.Run("sessions") + "/*")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(file))
		if err != nil {
			continue
		}
		var session gate.Session
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &session) != nil || !gate.Serves(filepath.Base(file), "hafs-gate") {
			os.Remove(file)
			continue
		}
		open = append(open, Session{Session: session, PID: pid})
	}
	return open
}
