package reception

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/pkg/sftp"

	"hafs/lib/cluster/gate"
	"hafs/lib/replication/stream"
)

// A hostile member with a session of the share reaches nothing else, and another member's session goes on.
func TestHostileMemberInASessionOfTheShare(t *testing.T) {
	d := open(t, "L1", "fs=L1 pairs=W3/M2 spares=M3")
	d.giveLease()
	outside := t.TempDir()
	must(t, os.WriteFile(outside+"/shadow", []byte("secret"), 0o600))
	must(t, os.Symlink(outside, d.share+"/planted"))
	theirs := d.session(gate.Share, "M2")
	victim, err := sftp.NewClientPipe(theirs, theirs)
	must(t, err)
	open, err := victim.Create(d.share + "/f")
	must(t, err)
	p := d.session(gate.Share, "M3")
	client, err := sftp.NewClientPipe(p, p)
	must(t, err)
	for _, way := range []string{outside, d.share + "/planted", d.share + "/../.." + outside, d.settings.RunDirectory, d.settings.StateDirectory, "/etc"} {
		_, readErr := client.Open(way + "/shadow")
		_, makeErr := client.Create(way + "/made")
		_, listErr := client.ReadDir(way)
		for what, err := range map[string]error{
			"read": readErr, "make": makeErr, "list": listErr, "chmod": client.Chmod(way+"/shadow", 0o777), "remove": client.Remove(way + "/" + gate.SessionSocket),
			"hard link": client.Link(way+"/shadow", d.share+"/theirs"), "rename": client.PosixRename(d.share+"/f", way+"/made"),
		} {
			if err == nil {
				t.Errorf("%s: %s", way, what)
			}
		}
	}
	if _, err := io.WriteString(p, "\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff"); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Log(err)
	}
	if _, err := open.Write([]byte("text")); err != nil {
		t.Error("another member's session ended:", err)
	}
	names, err := os.ReadDir(outside)
	must(t, err)
	if text, err := os.ReadFile(outside + "/shadow"); string(text) != "secret" || err != nil || len(names) != 1 {
		t.Errorf("%q %v %v", text, err, names)
	}
}

// What hafs-gate says of a session is all that counts: nobody is let in as another by what is sent in it.
func TestHostileMemberEndsNoStream(t *testing.T) {
	d := open(t, "W3", "fs=L1 pairs=W3/M2 spares=M3")
	s, err := stream.Open(d.session(gate.Replica, "L1"), stream.Hello{Cluster: "test", Generation: 7, Marker: []byte(marker)}, func() {})
	must(t, err)
	for range 3 {
		hello := stream.Hello{Cluster: "test", Generation: 8, Marker: []byte(marker)}
		if _, err := stream.Open(d.session(gate.Replica, "M3"), hello, func() {}); err == nil {
			t.Error("M3 was let in")
		}
		p := d.session(gate.Replica, "M3")
		_, _ = io.WriteString(p, "\xff\xff\xff\xff{\"from\":\"L1\"}")
		p.Close()
	}
	b, err := s.Begin()
	must(t, err)
	if _, err := b.End(nil); err != nil {
		t.Error("the feeder's session ended:", err)
	}
}
