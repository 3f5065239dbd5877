package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/confine"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/socket"
)

const (
	rsync = "/usr/bin/rsync"
	// generationPatience is how long a session waits for a generation its peer has and this server does not yet, or for the lease that a new FS
	// gets a moment after its generation.
	generationPatience = 2 * time.Second
)

// Gate is the door of one server.
type Gate struct {
	Settings config.Settings
	From     string // the server whose key opened the session
	// SFTP serves one session that is for a directory and nothing else.
	SFTP func(ctx context.Context, directory string, in io.Reader, out io.Writer) error
}

// Enter decides and then becomes the program the session is for; it returns only when that is refused or fails. A refusal carries
// exitcode.Refused.
func (g Gate) Enter(line string) error {
	order, err := Parse(line)
	if err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	if order.Kind == Link {
		return g.handOver("link.sock", "hafs-linkcheck", Session{Kind: Link, From: g.From})
	}
	r, standing, err := g.await(order)
	if err != nil {
		return err
	}
	if err := Allow(r, g.Settings.Name, g.From, standing, order); err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	if err := CheckMarker(r.DataDirectory, r.Cluster); err != nil {
		return exitcode.With(exitcode.Refused, err)
	}
	if n := g.crowd(); n >= maxSessions {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s has %d sessions with %s already", g.From, n, g.Settings.Name))
	}
	if err := g.note(order); err != nil {
		return fmt.Errorf("note session: %w", err)
	}
	if order.Kind == Share || order.Stream {
		defer os.Remove(g.noted())
		return g.handOver(SessionSocket, "hafs-mirror", g.session(order))
	}
	if len(order.Rsync) > 0 {
		return g.becomeRsync(r.DataDirectory, order.Rsync)
	}
	defer os.Remove(g.noted())
	return g.SFTP(context.Background(), r.DataDirectory, os.Stdin, os.Stdout)
}

// becomeRsync shows rsync the share and nothing else. Its command line was looked at word by word; this holds whatever rsync may make of one that looks right, and of links
// in the share, which it resolves by their paths.
func (g Gate) becomeRsync(directory string, words []string) error {
	scratch := g.Settings.Run("empty")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return err
	}
	return confine.Exec(scratch, directory, rsync, append([]string{"rsync"}, words...), []string{"LC_ALL=C"})
}

// await reads the record, and again while the peer is ahead of it or this server has not its lease yet.
func (g Gate) await(o Order) (record.Record, Standing, error) {
	deadline := time.Now().Add(generationPatience)
	store := record.Store{Directory: g.Settings.StateDirectory}
	for {
		r, err := store.Current()
		standing := g.standing()
		waits := r.Generation < o.Generation || !standing.Confirmed ||
			!standing.Leased && (o.Kind == Share || o.Kind == Pull) && r.FS.Name == g.Settings.Name
		if err != nil || !waits || time.Now().After(deadline) {
			return r, standing, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (g Gate) standing() Standing {
	_, err := os.Stat(g.Settings.Run("confirmed"))
	return Standing{Confirmed: err == nil, Leased: lease.Held(g.Settings.Run("lease"))}
}

// SessionSocket is where hafs-mirror takes sessions of the share's clients, and of the server that feeds this one's copy by a stream. A session is its
// Session as a line, with two descriptors.
const SessionSocket = "sessions.sock"

// handOver gives the session's descriptors to a daemon and stays until it is done with them: when this process ends, sshd ends
// the session. The other way round the daemon must end the session when its connection to this process does: that is how hafs-role ends
// a session that is no longer allowed.
func (g Gate) handOver(file, daemon string, hello Session) error {
	conn, err := socket.Dial(g.Settings.Run(file))
	if err != nil {
		return fmt.Errorf("%s does not run on %s: %w", daemon, g.Settings.Name, err)
	}
	defer conn.Close()
	text, err := json.Marshal(hello)
	if err != nil {
		return err
	}
	if err := socket.Send(conn, append(text, '\n'), 0, 1); err != nil {
		return err
	}
	os.Stdin.Close()
	os.Stdout.Close()
	_, _ = conn.Read(make([]byte, 1))
	return nil
}
