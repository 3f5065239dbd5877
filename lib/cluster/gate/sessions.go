package gate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Session says whose session something is. Its file in /run/hafs/sessions is named after the process.
type Session struct {
	Kind       Kind   `json:"kind"`
	From       string `json:"from"`
	Generation uint64 `json:"generation"`
}

// note leaves word of this session, so that it can be ended when a newer generation no longer allows it. The process id stays the
// same when this program becomes the server.
func (g Gate) note(o Order) error {
	text, err := json.Marshal(g.session(o))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(g.noted()), 0o700); err != nil {
		return err
	}
	return os.WriteFile(g.noted(), text, 0o600)
}

func (g Gate) session(o Order) Session {
	return Session{Kind: o.Kind, From: g.From, Generation: o.Generation}
}

func (g Gate) noted() string {
	return filepath.Join(g.Settings.Run("sessions"), strconv.Itoa(os.Getpid()))
}

// maxSessions is how many sessions besides links one member may have at once. It needs a few: a mount, a stream, one of rsync. Without a bound one that went wrong
// would take all processes that hafs-sshd may have, and nobody else were let in.
const maxSessions = 32

// crowd counts the sessions that the peer has. hafs-role takes the notes of others away.
func (g Gate) crowd() (n int) {
	files, _ := filepath.Glob(g.Settings.Run("sessions") + "/*")
	this := program("self")
	for _, file := range files {
		if !Serves(filepath.Base(file), this) {
			continue
		}
		var s Session
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &s) == nil && s.From == g.From {
			n++
		}
	}
	return n
}

// Serves says whether a process is still the gate that left a note, or the rsync it became: process ids are used again.
func Serves(pid, gate string) bool {
	name := program(pid)
	return name != "" && (name == gate || name == filepath.Base(rsync))
}

// program is the name of the program that a process runs; empty: there is no such process.
func program(pid string) string {
	name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	return strings.TrimSpace(string(name))
}
