package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"hafs/lib/host/config"
)

// A member that is hostile has a key of its own and asks for whatever it likes. It reaches nothing outside the share; that it may do anything within is what sessions are
// for.

// prison is a door with a secret outside the share, and ways to it planted in the share.
type prison struct {
	*door
	outside string
}

func newPrison(t *testing.T) *prison {
	t.Helper()
	p := &prison{newDoor(t), t.TempDir()}
	up, err := filepath.Rel(p.share, p.outside)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(p.outside+"/shadow", []byte("secret"), 0o600), os.WriteFile(p.share+"/mine", []byte("mine"), 0o644),
		os.Symlink(p.outside, p.share+"/planted"), os.Symlink(up, p.share+"/relative"), os.Symlink("/proc/1/root"+p.outside, p.share+"/root"),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		info, err := os.Lstat(p.outside + "/shadow")
		text, readErr := os.ReadFile(p.outside + "/shadow")
		names, listErr := os.ReadDir(p.outside)
		if err := errors.Join(err, readErr, listErr); err != nil || string(text) != "secret" || info.Mode() != 0o600 || len(names) != 1 {
			t.Errorf("outside: %v %q %v, %v", info.Mode(), text, names, err)
		}
	})
	return p
}

func TestHostileMemberInASessionOfSFTP(t *testing.T) {
	p := newPrison(t)
	p.knock("L1", "replica 7 sftp")
	client, err := sftp.NewClientPipe(p.out, p.in)
	if err != nil {
		t.Fatal(err, p.complaint.String())
	}
	defer client.Close()
	for _, way := range []string{p.outside, p.share + "/planted", p.share + "/relative", p.share + "/root", p.share + "/../.." + p.outside, "../../../../../.." + p.outside, "/proc/self/root" + p.outside} {
		secret := way + "/shadow"
		for what, err := range map[string]error{
			"read":      second(client.Open(secret)),
			"make":      second(client.Create(way + "/made")),
			"list":      second(client.ReadDir(way)),
			"look":      second(client.Stat(secret)),
			"chmod":     client.Chmod(secret, 0o777),
			"chown":     client.Chown(secret, 1234, 1234),
			"truncate":  client.Truncate(secret, 0),
			"remove":    client.Remove(secret),
			"fetch":     client.PosixRename(secret, p.share+"/theirs"),
			"overwrite": client.PosixRename(p.share+"/mine", secret),
			"hard link": client.Link(secret, p.share+"/theirs"),
			"link out":  client.Link(p.share+"/mine", way+"/made"),
			"mkdir":     client.Mkdir(way + "/made"),
		} {
			if err == nil {
				t.Errorf("%s: %s", way, what)
			}
		}
	}
	f, err := client.Open(p.share + "/mine")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); string(text) != "mine" || err != nil {
		t.Error(string(text), err)
	}
}

func second[T any](_ T, err error) error { return err }

// rsync runs a real rsync on the hostile member's side. Its command line goes to the gate as it is, but for what edit makes of it.
func (p *prison) rsync(kind, from, edit string, arguments ...string) (string, error) {
	p.t.Helper()
	if _, err := os.Stat(rsync); err != nil {
		p.t.Skip("needs rsync: ", err)
	}
	script := filepath.Join(p.t.TempDir(), "shell")
	text := fmt.Sprintf("#!/bin/sh\nshift\nSSH_ORIGINAL_COMMAND=$(echo %s 7 \"$@\" | sed '%s') GATE_TEST_RUN=%s GATE_TEST_STATE=%s GATE_TEST_FROM=%s exec %s\n",
		kind, edit, p.run, p.state, from, os.Args[0])
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.Command(rsync, append([]string{"-e", script}, arguments...)...).CombinedOutput()
	if strings.Contains(string(out), "unshare: operation not permitted") {
		p.t.Skipf("needs the right to mount: %s", out)
	}
	return string(out), err
}

func TestRsyncDoesWhatItIsFor(t *testing.T) {
	p := newPrison(t)
	source := t.TempDir()
	if err := errors.Join(
		os.Mkdir(source+"/d", 0o750), os.WriteFile(source+"/d/f", []byte("text"), 0o640), os.Link(source+"/d/f", source+"/d/g"),
		os.Symlink("/nowhere", source+"/l"), os.WriteFile(source+"/"+Marker, []byte("cluster: test\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	options := []string{"-aHAXS", "--numeric-ids", "-@-1", "--delete", "--delete-excluded", "--itemize-changes", source + "/", "W3:" + p.share + "/"}
	if out, err := p.rsync("replica", "L1", "", options...); err != nil {
		t.Fatal(err, out)
	}
	if out, err := p.rsync("compare", "M3", "", append([]string{"-n"}, options...)...); err != nil || out != "" {
		t.Error("a comparison finds", out, err)
	}
	if _, err := os.Lstat(p.share + "/planted"); !os.IsNotExist(err) {
		t.Error("not deleted:", err)
	}
}

func TestHostileMemberInASessionOfRsync(t *testing.T) {
	p := newPrison(t)
	source := t.TempDir()
	for _, name := range []string{"planted", "relative", "root"} {
		if err := errors.Join(os.Mkdir(source+"/"+name, 0o755), os.WriteFile(source+"/"+name+"/shadow", []byte("forged"), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	target := "W3:" + p.share + "/"
	for what, c := range map[string]struct {
		edit      string
		arguments []string
	}{
		"through links in the way":  {"", []string{"-rR", "--no-implied-dirs", source + "/./planted/shadow", source + "/./relative/shadow", source + "/./root/shadow", target}},
		"links taken for folders":   {"", []string{"-rK", source + "/", target}},
		"its log":                   {"", []string{"-r", "-M--log-file=" + p.outside + "/made", source + "/", target}},
		"its temporary files":       {"", []string{"-r", "--temp-dir=" + p.outside, source + "/", target}},
		"what is half done":         {"", []string{"-r", "--partial-dir=" + p.outside, source + "/", target}},
		"copies of the old":         {"", []string{"-rb", "--backup-dir=" + p.outside, source + "/", target}},
		"files to compare with":     {"", []string{"-r", "--copy-dest=" + p.outside, source + "/", target}},
		"hard links":                {"", []string{"-r", "--link-dest=" + p.outside, source + "/", target}},
		"another directory":         {"", []string{"-r", source + "/", "W3:" + p.outside + "/"}},
		"the one above":             {"", []string{"-r", source + "/", "W3:" + p.share + "/../" + filepath.Base(p.outside) + "/"}},
		"arguments by its input":    {"", []string{"-rs", source + "/", "W3:" + p.outside + "/"}},
		"a daemon":                  {"s/--server/--server --daemon/", []string{"-r", source + "/", target}},
		"another word":              {"s/ [.] / --log-file=x . /", []string{"-r", source + "/", target}},
		"reading from a replica":    {"", []string{"-r", target, t.TempDir()}},
		"links followed as read":    {"s/^replica/pull/", []string{"-rL", target, t.TempDir()}},
		"a list of files elsewhere": {"s/^replica/pull/", []string{"-r", "--files-from=:" + p.outside + "/shadow", target, t.TempDir()}},
	} {
		out, _ := p.rsync("replica", "L1", c.edit, c.arguments...)
		if strings.Contains(out, "secret") {
			t.Errorf("%s: %s", what, out)
		}
		if text, err := os.ReadFile(p.outside + "/shadow"); string(text) != "secret" || err != nil {
			t.Errorf("%s: %s, %v", what, text, err)
		}
		if names, err := os.ReadDir(p.outside); len(names) != 1 || err != nil {
			t.Errorf("%s: %v %v", what, names, err)
		}
	}
}

// The second wall: were there an option that the gate should not have taken, rsync would still find nothing.
func TestRsyncSeesNothingButTheShare(t *testing.T) {
	p := newPrison(t)
	for what, words := range map[string]string{
		"its log":   "--server --sender -re.iLsfxCIvu --log-file=" + p.outside + "/made . " + p.share + "/",
		"elsewhere": "--server --sender -re.iLsfxCIvu . " + p.outside + "/",
		"by links":  "--server --sender -rLe.iLsfxCIvu . " + p.share + "/planted/",
		"by above":  "--server --sender -rLe.iLsfxCIvu . " + p.share + "/../../.." + p.outside + "/",
		"processes": "--server --sender -rLe.iLsfxCIvu . /proc/1/root" + p.outside + "/",
		"settings":  "--server --daemon --config=" + p.outside + "/shadow .",
	} {
		script := filepath.Join(t.TempDir(), "shell")
		text := fmt.Sprintf("#!/bin/sh\nGATE_TEST_RSYNC='%s' GATE_TEST_SHARE=%s GATE_TEST_RUN=%s GATE_TEST_STATE=%s exec %s\n", words, p.share, p.run, p.state, os.Args[0])
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		out, err := exec.Command(rsync, "-r", "-e", script, "W3:x/", to).CombinedOutput()
		if strings.Contains(string(out), "unshare: operation not permitted") {
			t.Skipf("needs the right to mount: %s", out)
		}
		if files, _ := filepath.Glob(to + "/shadow"); len(files) > 0 || err == nil && what != "its log" {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}
}

// Whose session it is says the key alone, and no word of the command line.
func TestHostileMemberIsNobodyElse(t *testing.T) {
	d := newDoor(t)
	for _, line := range []string{
		"replica 7 stream L1", "replica 7 stream --from L1", "replica 7 stream\nL1", `replica 7 stream {"from":"L1"}`, "replica 8 stream", "replica 18446744073709551616 stream",
		"replica -7 stream", "replica 7", "share 7", "link 7", "compare 7 stream", "compare 7 sftp", "pull 7 sftp", "--from L1 replica 7 stream", "replica 7 sftp -d /etc",
	} {
		d.complaint.Reset()
		d.knock("M3", line)
		if err := d.cmd.Wait(); err == nil {
			t.Errorf("%q was let in", line)
		}
		if _, err := os.Stat(d.note()); !os.IsNotExist(err) {
			t.Errorf("%q is noted: %v", line, err)
		}
	}
	d.knock("L1", "replica 7 stream")
	d.receive()
	text, err := os.ReadFile(d.note())
	var noted Session
	if err := errors.Join(err, json.Unmarshal(text, &noted)); err != nil || noted.From != "L1" || d.greeting.From != "L1" {
		t.Errorf("%+v %+v %v", noted, d.greeting, err)
	}
}

// A note whose process has ended, and whose number another one has by now, is no session.
func TestNotesOfSessionsThatHaveEnded(t *testing.T) {
	d := newDoor(t)
	g := Gate{Settings: config.Settings{Name: "W3", RunDirectory: d.run}, From: "L1"}
	another := exec.Command("sleep", "60")
	if err := another.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = another.Process.Kill(); _ = another.Wait() }()
	if err := g.note(Order{Kind: Replica}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(g.noted())
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []string{strconv.Itoa(another.Process.Pid), "4194305"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(g.noted()), pid), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.crowd(); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// A member that opens sessions without an end is turned away, and nobody else.
func TestHostileMemberTakesNoRoomFromOthers(t *testing.T) {
	d := newDoor(t)
	var open []door
	for range maxSessions {
		d.knock("L1", "replica 7 stream")
		d.receive()
		open = append(open, *d)
	}
	d.knock("L1", "replica 7 stream")
	timer := time.AfterFunc(10*time.Second, func() { _ = d.cmd.Process.Kill() })
	if err := d.cmd.Wait(); err == nil || !strings.Contains(d.complaint.String(), "L1 has 32 sessions with W3 already") {
		t.Errorf("%v %s", err, &d.complaint)
	}
	timer.Stop()
	runtime.KeepAlive(open)
	d.knock("M3", "compare 7 rsync --server -nlogDtpre.iLsfxCIvu . "+d.share+"/")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(d.note()); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("another member is not let in: %s", &d.complaint)
		}
	}
}
