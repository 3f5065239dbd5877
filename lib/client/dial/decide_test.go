package dial

import (
	"strings"
	"testing"

	"hafs/lib/cluster/record"
)

func cluster() record.Record {
	r := record.Record{Generation: 7, FS: record.FileServer{Name: "L1"}, Pairs: []record.Pair{{DRS1: "W3", DRS2: "M2"}, {DRS1: "M1", DRS2: record.Trouble}}}
	for name, status := range map[string]record.Status{"L1": record.Active, "W3": record.Active, "M2": record.Active, "M1": record.Active, "M3": record.Spare} {
		r.Servers = append(r.Servers, record.Server{Name: name, Address: name + ".test", Status: status})
	}
	return r
}

func TestReach(t *testing.T) {
	for self, want := range map[string]string{
		"L1": "M1 M2 W3",    // FS: the DRS1s it feeds, and the DRS2s that may move up
		"W3": "L1 M1 M2 M3", // a successor: FS, the other DRS1s, its DRS2, the spare that may follow it
		"M2": "L1 M3 W3",    // a DRS2 may become DRS1 and feed the spare
		"M1": "L1 M3 W3",
		"M3": "L1 W3", // everybody: FS and its first successor
	} {
		if got := strings.Join(Reach(cluster(), self), " "); got != want {
			t.Errorf("%s: %s, want %s", self, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	for host, want := range map[string]string{"fs": "L1", "S1": "W3", "S2": "M1", "M2": "M2", "S3": "", "S0": "", "X9": ""} {
		s, err := Resolve(cluster(), host)
		if s.Name != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q %v, want %q", host, s.Name, err, want)
		}
	}
	troubled := cluster()
	troubled.Pairs[1].DRS1 = record.Trouble
	if _, err := Resolve(troubled, "S2"); err == nil || !strings.Contains(err.Error(), "trouble") {
		t.Error("a place in trouble was resolved:", err)
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct{ host, command, want string }{
		{"fs", "sftp", "share 7"},
		{"S1", "sftp", "replica 7 sftp"},
		{"M2", "rsync --server -logDtpre.iLsfxCIvu . /nfs/", "replica 7 rsync --server -logDtpre.iLsfxCIvu . /nfs/"},
		{"M2", "rsync --server -nlogDtpre.iLsfxCIvu . /nfs/", "compare 7 rsync --server -nlogDtpre.iLsfxCIvu . /nfs/"},
		{"fs", "rsync --server --sender -logDtpre.iLsfxCIvu . /nfs/", "pull 7 rsync --server --sender -logDtpre.iLsfxCIvu . /nfs/"},
		{"M2", "stream", "replica 7 stream"},
		{"M2", "stream /etc", ""},
		{"S1", "stream", ""},
		{"fs", "stream", ""},
		{"M2", "bash -c true", ""},
	} {
		got, err := Order(cluster(), c.host, strings.Fields(c.command))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s %s: %q %v", c.host, c.command, got, err)
		}
	}
}

func TestStillMeant(t *testing.T) {
	opened := cluster()
	spareLost := cluster()
	spareLost.Generation++
	if !StillMeant(opened, spareLost, "L1", "S1") || !StillMeant(opened, spareLost, "W3", "M2") {
		t.Error("a generation that does not concern a session ended it")
	}
	promoted := cluster()
	promoted.Pairs[0] = record.Pair{DRS1: "M2", DRS2: "M3"}
	if StillMeant(opened, promoted, "L1", "S1") || StillMeant(opened, promoted, "W3", "M2") {
		t.Error("a session outlived the role it was for")
	}
	deposed := cluster()
	deposed.FS.Name, deposed.Pairs[0] = "W3", record.Pair{DRS1: "M2", DRS2: "M3"}
	if StillMeant(opened, deposed, "L1", "S2") {
		t.Error("a deposed file sharing server goes on feeding a replica")
	}
}
