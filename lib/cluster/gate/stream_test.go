package gate

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hafs/lib/client/sftpd"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/socket"
	"hafs/lib/testkit/recordtest"
)

// TestMain lets the test's own binary be hafs-gate, whose descriptors and process id matter here.
func TestMain(m *testing.M) {
	run := os.Getenv("GATE_TEST_RUN")
	if run == "" {
		os.Exit(m.Run())
	}
	settings := config.Defaults()
	settings.Name, settings.RunDirectory, settings.StateDirectory = "W3", run, os.Getenv("GATE_TEST_STATE")
	g := Gate{Settings: settings, From: os.Getenv("GATE_TEST_FROM"), SFTP: sftpd.Server{}.Serve}
	err := error(nil)
	if words := os.Getenv("GATE_TEST_RSYNC"); words != "" { // as if the gate had taken any command line of rsync
		err = g.becomeRsync(os.Getenv("GATE_TEST_SHARE"), strings.Fields(words))
	} else {
		err = g.Enter(os.Getenv("SSH_ORIGINAL_COMMAND"))
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(3)
	}
}

// door is the run directory of W3, the DRS1 that L1 feeds in generation 7, and how to knock there.
type door struct {
	t              *testing.T
	run, state     string
	share          string
	in, out        *os.File // the session's far ends
	complaint      strings.Builder
	cmd            *exec.Cmd
	receiver       *net.UnixListener
	greeting       Session
	conn           *net.UnixConn // of the gate, at the receiver
	received, sent *os.File      // at the receiver
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, run: t.TempDir(), state: t.TempDir(), share: t.TempDir()}
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2 spares=M3")
	r.DataDirectory, r.FS.SharedArea = d.share, d.share
	if err := (record.Store{Directory: d.state}).Learn(r); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{filepath.Join(d.run, "confirmed"): "7", filepath.Join(d.share, Marker): "cluster: test\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if d.receiver, err = socket.Listen(filepath.Join(d.run, "sessions.sock")); err != nil {
		t.Fatal(err)
	}
	if err := d.receiver.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.receiver.Close() })
	return d
}

// knock starts a session as sshd does.
func (d *door) knock(from, line string) {
	d.t.Helper()
	in, near, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.in = near
	near, out, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.out = near
	d.cmd = exec.Command(os.Args[0])
	d.cmd.Env = append(os.Environ(), "GATE_TEST_RUN="+d.run, "GATE_TEST_STATE="+d.state, "GATE_TEST_FROM="+from, "SSH_ORIGINAL_COMMAND="+line)
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = in, out, &d.complaint
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	in.Close()
	out.Close()
	d.t.Cleanup(func() { _ = d.cmd.Process.Kill(); d.in.Close(); d.out.Close() })
}

// receive is the receiver's side of a session that was let in.
func (d *door) receive() {
	d.t.Helper()
	conn, err := d.receiver.AcceptUnix()
	if err != nil {
		d.t.Fatal(err)
	}
	text, files, err := socket.Receive(conn, 2)
	if err != nil || len(files) != 2 || json.Unmarshal(text, &d.greeting) != nil {
		d.t.Fatalf("%q with %d files: %v", text, len(files), err)
	}
	d.conn, d.received, d.sent = conn, files[0], files[1]
}

func (d *door) note() string {
	return filepath.Join(d.run, "sessions", strconv.Itoa(d.cmd.Process.Pid))
}

func TestStreamIsHandedToTheReceiver(t *testing.T) {
	d := newDoor(t)
	d.knock("L1", "replica 7 stream")
	d.receive()
	if want := (Session{Kind: Replica, From: "L1", Generation: 7}); d.greeting != want {
		t.Errorf("greeting %+v, want %+v", d.greeting, want)
	}
	text, err := os.ReadFile(d.note())
	if want := `{"kind":"replica","from":"L1","generation":7}`; string(text) != want {
		t.Errorf("the session is noted as %q, %v; want %q", text, err, want)
	}
	if _, err := io.WriteString(d.in, "batch"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(d.received, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d.sent, "durable"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(d.out, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	_ = d.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := d.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the gate does not stay, so sshd ends the session:", err)
	}
	// The receiver is done: so is the gate, and the peer sees the end.
	d.received.Close()
	d.sent.Close()
	d.conn.Close()
	if rest, err := io.ReadAll(d.out); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Error(err, d.complaint.String())
	}
	if _, err := os.Stat(d.note()); !os.IsNotExist(err) {
		t.Error("the note of an ended session is left:", err)
	}
}

// hafs-role ends sessions by their process: the receiver hears of it, and the peer's end closes the receiver's.
func TestReceiverHearsOfTheEndOfAStream(t *testing.T) {
	d := newDoor(t)
	d.knock("L1", "replica 7 stream")
	d.receive()
	_ = d.cmd.Process.Kill()
	if _, err := d.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the gate was killed:", err)
	}
	d.in.Close()
	if rest, err := io.ReadAll(d.received); len(rest) > 0 || err != nil {
		t.Errorf("the peer is gone: %q, %v", rest, err)
	}
	_ = d.cmd.Wait()
}

func TestStreamIsRefusedBeforeTheReceiverHearsOfIt(t *testing.T) {
	for situation, c := range map[string]struct {
		from, line string
		spoil      func(d *door) error
		want       string
	}{
		"share not mounted":  {"L1", "replica 7 stream", func(d *door) error { return os.Remove(filepath.Join(d.share, Marker)) }, "no share here"},
		"not confirmed":      {"L1", "replica 7 stream", func(d *door) error { return os.Remove(filepath.Join(d.run, "confirmed")) }, "does not know yet"},
		"older generation":   {"L1", "replica 6 stream", func(*door) error { return nil }, "L1 acts in generation 6"},
		"not the feeder":     {"M2", "replica 7 stream", func(*door) error { return nil }, "M2 does not feed W3"},
		"no receiver":        {"L1", "replica 7 stream", func(d *door) error { return d.receiver.Close() }, "hafs-mirror does not run on W3"},
		"receiver was there": {"L1", "replica 7 stream", func(d *door) error { return os.Remove(filepath.Join(d.run, "sessions.sock")) }, "hafs-mirror does not run on W3"},
	} {
		t.Run(situation, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			if err := c.spoil(d); err != nil {
				t.Fatal(err)
			}
			d.knock(c.from, c.line)
			if err := d.cmd.Wait(); err == nil || !strings.Contains(d.complaint.String(), c.want) {
				t.Errorf("%v: %q, want %q", err, d.complaint.String(), c.want)
			}
			if _, err := os.Stat(d.note()); !os.IsNotExist(err) {
				t.Error("a refused session is noted:", err)
			}
		})
	}
}
