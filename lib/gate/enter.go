package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/config"
	"hafs/lib/exitcode"
	"hafs/lib/record"
	"hafs/lib/socket"
)

// SFTPServer is OpenSSH's, which serves one session on its standard streams.
const SFTPServer = "/usr/lib/openssh/sftp-server"

const (
	rsync = "/usr/bin/rsync"
	// generationPatience is how long a session waits for a generation its peer has and this server does not yet.
	generationPatience = 2 * time.Second
)

// Gate is the door of one server.
type Gate struct {
	Settings config.Settings
	From     string // the server whose key opened the session
}

// Enter decides and then becomes the program the session is for; it returns only when that is refused or fails. A refusal carries
// exitcode.Refused.
func (g Gate) Enter(line string) error {
	order, err := Parse(line)
	if err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	if order.Kind == Link {
		return g.handOver()
	}
	r, err := g.awaitGeneration(order.Generation)
	if err != nil {
		return err
	}
	if err := Allow(r, g.Settings.Name, g.From, g.confirmed(), order); err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	if err := CheckMarker(r.DataDirectory, r.Cluster); err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	if err := g.note(order); err != nil {
		return fmt.Errorf("note session: %w", err)
	}
	if len(order.Rsync) > 0 {
		return unix.Exec(rsync, append([]string{"rsync"}, order.Rsync...), os.Environ())
	}
	return unix.Exec(SFTPServer, []string{"sftp-server", "-d", r.DataDirectory}, os.Environ())
}

// awaitGeneration reads the record, and again while the peer is ahead of it.
func (g Gate) awaitGeneration(wanted uint64) (record.Record, error) {
	deadline := time.Now().Add(generationPatience)
	store := record.Store{Directory: g.Settings.StateDirectory}
	for {
		r, err := store.Current()
		if err != nil || (r.Generation >= wanted && g.confirmed()) || time.Now().After(deadline) {
			return r, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (g Gate) confirmed() bool {
	_, err := os.Stat(g.Settings.Run("confirmed"))
	return err == nil
}

// Session is what a session's file in /run/hafs/sessions holds; the file is named after the process.
type Session struct {
	Kind       Kind   `json:"kind"`
	From       string `json:"from"`
	Generation uint64 `json:"generation"`
}

// note leaves word of this session, so that it can be ended when a newer generation no longer allows it. The process id stays the
// same when this program becomes the server.
func (g Gate) note(o Order) error {
	text, err := json.Marshal(Session{Kind: o.Kind, From: g.From, Generation: o.Generation})
	if err != nil {
		return err
	}
	directory := g.Settings.Run("sessions")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, strconv.Itoa(os.Getpid())), text, 0o600)
}

// handOver gives the session's descriptors to hafs-linkcheck and stays until it is done with them: when this process ends, sshd ends
// the session.
func (g Gate) handOver() error {
	conn, err := socket.Dial(g.Settings.Run("link.sock"))
	if err != nil {
		return fmt.Errorf("hafs-linkcheck does not run on %s: %w", g.Settings.Name, err)
	}
	defer conn.Close()
	hello, err := json.Marshal(map[string]string{"from": g.From})
	if err != nil {
		return err
	}
	if err := socket.Send(conn, append(hello, '\n'), 0, 1); err != nil {
		return err
	}
	os.Stdin.Close()
	os.Stdout.Close()
	_, _ = conn.Read(make([]byte, 1))
	return nil
}

// Marker is the file that says whose share a directory holds.
const Marker = ".hafs-share"

// ErrNoMarker means that a directory holds no share: its file system is not mounted, or it was never deployed.
var ErrNoMarker = errors.New("no share here")

// CheckMarker says whether a directory holds the share of a cluster.
func CheckMarker(directory, cluster string) error {
	text, err := os.ReadFile(filepath.Join(directory, Marker))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %s has no %s; is its file system mounted?", ErrNoMarker, directory, Marker)
	case err != nil:
		return err
	}
	if got := strings.TrimSpace(string(text)); got != "cluster: "+cluster {
		return fmt.Errorf("%s holds another share: %s says %q, not %q", directory, Marker, got, "cluster: "+cluster)
	}
	return nil
}
