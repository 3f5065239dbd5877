package promote

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/system"
	"hafs/lib/testkit/recordtest"
	"hafs/lib/testkit/systemtest"
)

// renewed is a server with an empty directory for its share and a copy that says that it is whole. asked is what the others say of themselves.
func renewed(t *testing.T, self, line string, asked func(name string, well link.Details) link.Details) (Promoter, record.Record) {
	t.Helper()
	s := config.Defaults()
	s.Name, s.RunDirectory, s.StateDirectory = self, t.TempDir(), t.TempDir()
	r := recordtest.Parse(t, line)
	r.DataDirectory = t.TempDir()
	r.FS.SharedArea = r.DataDirectory
	err := errors.Join(record.Store{Directory: s.StateDirectory}.Install(r), os.MkdirAll(filepath.Dir(s.Position()), 0o755),
		os.WriteFile(s.Position(), []byte(`{"Generation":7,"Complete":true}`), 0o644), os.WriteFile(s.Redo(), nil, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", s.Run("link.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	well := serving(r, self)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				lines := bufio.NewScanner(conn)
				lines.Scan() // the greeting
				for lines.Scan() {
					var q link.Request
					_ = json.Unmarshal(lines.Bytes(), &q)
					reply := link.Reply{ID: q.ID, View: map[string]link.Peer{}}
					if d, answers := well[q.To]; q.Kind == link.Inquire && answers {
						if asked != nil {
							d = asked(q.To, d)
						}
						reply.Details = &d
					} else if q.Kind == link.Inquire {
						reply.Error = q.To + " is lost"
					}
					_ = json.NewEncoder(conn).Encode(reply)
				}
			}()
		}
	}()
	return New(s, zerolog.Nop(), false), r
}

// taken says whether a directory is marked, whether the copy claims anything, and whether it says that it is being filled.
func taken(p Promoter, r record.Record) (marked, claims, refilling bool) {
	there := func(path string) bool { _, err := os.Lstat(path); return err == nil }
	return gate.CheckMarker(r.DataDirectory, r.Cluster) == nil, there(p.Settings.Position()) || there(p.Settings.Redo()), there(p.Settings.Refilling())
}

func TestEmptyDiskIsTaken(t *testing.T) {
	for _, c := range []struct {
		self      string
		refilling bool
	}{{"X1", true}, {"M2", true}, {"M3", false}} {
		p, r := renewed(t, c.self, "fs=L1 pairs=W3/M2 spares=M3 failed=X1", nil)
		if err := os.Mkdir(filepath.Join(r.DataDirectory, "lost+found"), 0o700); err != nil {
			t.Fatal(err)
		}
		p.DryRun = true
		if err := p.Empty(t.Context(), system.Machine{}); err != nil {
			t.Errorf("%s: %v", c.self, err)
		}
		if marked, claims, _ := taken(p, r); marked || !claims {
			t.Errorf("%s: a dry run changed something", c.self)
		}
		p.DryRun = false
		if err := p.Empty(t.Context(), system.Machine{}); err != nil {
			t.Errorf("%s: %v", c.self, err)
		}
		if marked, claims, refilling := taken(p, r); !marked || claims || refilling != c.refilling {
			t.Errorf("%s: marked %v, claims %v, refilling %v", c.self, marked, claims, refilling)
		}
		if err := p.Empty(t.Context(), system.Machine{}); exitcode.Of(err) != exitcode.Nothing {
			t.Errorf("%s again: %v", c.self, err)
		}
	}
}

func TestEmptyDiskIsRefusedUntouched(t *testing.T) {
	for what, c := range map[string]struct {
		self   string
		put    string
		status int
	}{
		"FS":                       {"L1", "", exitcode.Refused},
		"files":                    {"X1", "precious", exitcode.Refused},
		"the share of the cluster": {"X1", gate.Marker, exitcode.Nothing},
		"it feeds another server":  {"W3", "", exitcode.Refused},
	} {
		p, r := renewed(t, c.self, "fs=L1 pairs=W3/M2 spares=M3 failed=X1", nil)
		if c.put != "" {
			if err := os.WriteFile(filepath.Join(r.DataDirectory, c.put), []byte("cluster: test\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		script, m := systemtest.StopAt(-1)
		if err := p.Empty(t.Context(), m); exitcode.Of(err) != c.status || len(script.Steps) > 0 {
			t.Errorf("%s: %v after %q", what, err, script.Steps)
		}
	}
}

// Two servers ask at the same moment: whoever sees the other's note lets it be.
func TestTwoEmptyDisksAtOnce(t *testing.T) {
	var p Promoter
	p, r := renewed(t, "X1", "fs=L1 pairs=W3/M2 spares=M3 failed=X1", func(name string, d link.Details) link.Details {
		_, err := os.Lstat(p.Settings.Refilling())
		d.Refilling = name == "M2" && err == nil
		return d
	})
	if err := p.Empty(t.Context(), system.Machine{}); exitcode.Of(err) != exitcode.Refused || !strings.Contains(err.Error(), "M2 has taken an empty disk") {
		t.Error(err)
	}
	if marked, _, refilling := taken(p, r); marked || refilling {
		t.Errorf("marked %v, refilling %v", marked, refilling)
	}
}

// Wherever it breaks off, no directory is marked whose copy still claims to be whole, and it can be done again.
func TestEmptyDiskHalfTaken(t *testing.T) {
	for n := 0; ; n++ {
		p, r := renewed(t, "X1", "fs=L1 pairs=W3/M2 spares=M3 failed=X1", nil)
		script, m := systemtest.StopAt(n)
		err := p.Empty(t.Context(), m)
		if marked, claims, refilling := taken(p, r); marked && (claims || !refilling) {
			t.Errorf("after %q: claims %v, refilling %v", script.Steps, claims, refilling)
		}
		if err == nil {
			return
		}
		if err := p.Empty(t.Context(), system.Machine{}); err != nil && exitcode.Of(err) != exitcode.Nothing {
			t.Errorf("after %q again: %v", script.Steps, err)
		}
		if marked, claims, refilling := taken(p, r); !marked || claims || !refilling {
			t.Errorf("after %q and again: marked %v, claims %v, refilling %v", script.Steps, marked, claims, refilling)
		}
	}
}

// A generation that comes in between may have given this server a place, in which it would have to leave a note.
func TestEmptyDiskWhileTheRecordChanges(t *testing.T) {
	var p Promoter
	var r record.Record
	p, r = renewed(t, "M3", "fs=L1 pairs=W3/M2 spares=M3", func(name string, d link.Details) link.Details {
		if name != r.FS.Name {
			return d
		}
		next := recordtest.Parse(t, "fs=L1 pairs=W3/M3 failed=M2")
		next.Generation, next.DataDirectory, next.FS.SharedArea = r.Generation+1, r.DataDirectory, r.DataDirectory
		if err := (record.Store{Directory: p.Settings.StateDirectory}).Install(next); err != nil {
			t.Error(err)
		}
		return d
	})
	if err := p.Empty(t.Context(), system.Machine{}); exitcode.Of(err) != exitcode.Refused || !strings.Contains(err.Error(), "generation 8 has come") {
		t.Error(err)
	}
	if marked, _, refilling := taken(p, r); marked || refilling {
		t.Errorf("marked %v, refilling %v", marked, refilling)
	}
}

// The share may be in a folder of a file system that is not mounted.
func TestFileSystemsThatAreNotMounted(t *testing.T) {
	const table = "UUID=1 / ext4 defaults 0 1\n/dev/sdb1 /srv ext4\n/dev/sdc1 /data/nfs xfs\n"
	for _, c := range []struct{ directory, mounted, want string }{
		{"/data/nfs", "/", "/data/nfs"},
		{"/data/nfs", "/ /data/nfs", ""},
		{"/srv/nfs", "/", "/srv"},
		{"/srv/nfs", "/ /srv", ""},
		{"/srv/nfs", "/ /srv/nfs", ""}, // by no table
		{"/nfs", "/", ""},
	} {
		mounted := func(directory string) bool { return slices.Contains(strings.Fields(c.mounted), directory) }
		if got := unmounted(table, c.directory, mounted); got != c.want {
			t.Errorf("%s with %s: %q, want %q", c.directory, c.mounted, got, c.want)
		}
	}
}

func TestFileSystemsOfTheTable(t *testing.T) {
	const table = "# /dev/sdb1 /nfs ext4\nUUID=1 / ext4 defaults 0 1\n/dev/sdc1\t/data/nfs/ xfs\n\nnone\n"
	for directory, want := range map[string]bool{"/nfs": false, "/data/nfs": true, "/data": false} {
		if got := tabled(table, directory); got != want {
			t.Errorf("%s: %v", directory, got)
		}
	}
}
