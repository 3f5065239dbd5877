package gate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/system"
	"hafs/lib/testkit/recordtest"
)

func cluster() record.Record {
	return record.Record{
		Cluster: "test", Generation: 7, DataDirectory: "/nfs",
		FS: record.FileServer{Name: "L1", SharedArea: "/nfs"},
		Servers: []record.Server{
			{Name: "L1", Status: record.Active}, {Name: "W3", Status: record.Active}, {Name: "M2", Status: record.Active},
			{Name: "M3", Status: record.Spare}, {Name: "X1", Status: record.Failed},
		},
		Pairs: []record.Pair{{DRS1: "W3", DRS2: "M2"}},
	}
}

// Each line of testdata/orders.txt: who asks whom for what, and the words of the refusal or `allowed`.
func TestOrders(t *testing.T) {
	text, err := os.ReadFile("testdata/orders.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		question, want, found := strings.Cut(line, "=>")
		parties, command, _ := strings.Cut(strings.TrimSpace(question), ": ")
		from, self, _ := strings.Cut(parties, " asks ")
		if !found {
			t.Fatalf("orders.txt:%d: no =>", i+1)
		}
		order, err := Parse(command)
		if err == nil {
			err = Allow(cluster(), self, from, Standing{Confirmed: true, Leased: self == "L1"}, order)
		}
		got := "allowed"
		if err != nil {
			got = err.Error()
		}
		if want = strings.TrimSpace(want); !strings.Contains(got, want) || want == "allowed" && err != nil {
			t.Errorf("orders.txt:%d: %s, want %s", i+1, got, want)
		}
	}
}

func TestUnconfirmedServerServesOnlyLinks(t *testing.T) {
	for command, want := range map[string]bool{"link": true, "share 7": false, "replica 7 stream": false} {
		order, err := Parse(command)
		if err != nil {
			t.Fatal(err)
		}
		if err := Allow(cluster(), "L1", "W3", Standing{Leased: true}, order); (err == nil) != want {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// I1: FS without a lease may have been replaced. A comparison changes nothing, and whoever compares knows what it asks.
func TestFSWithoutLease(t *testing.T) {
	for command, want := range map[string]bool{
		"link": true, "compare 7 rsync --server -nlogDtpre.iLsfxCIvu . /nfs/": true,
		"share 7": false, "pull 7 rsync --server --sender -logDtpre.iLsfxCIvu . /nfs/": false,
	} {
		order, err := Parse(command)
		if err != nil {
			t.Fatal(err)
		}
		err = Allow(cluster(), "L1", "W3", Standing{Confirmed: true}, order)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "has no lease") {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// A new FS has its generation a moment before its lease: a session waits for both, and for nothing it does not need.
func TestSessionWaitsForTheLease(t *testing.T) {
	g := Gate{Settings: config.Settings{Name: "L1", StateDirectory: t.TempDir(), RunDirectory: t.TempDir()}, From: "W3"}
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2")
	if err := (record.Store{Directory: g.Settings.StateDirectory}).Install(r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.Settings.Run("confirmed"), []byte("7"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, standing, err := g.await(Order{Kind: Compare, Generation: 7}); err != nil || !standing.Confirmed || standing.Leased {
		t.Errorf("a comparison: %+v %v", standing, err)
	}
	done := make(chan Standing)
	go func() {
		_, standing, _ := g.await(Order{Kind: Share, Generation: 7})
		done <- standing
	}()
	select {
	case <-done:
		t.Fatal("the share: does not wait")
	case <-time.After(20 * time.Millisecond):
	}
	if err := (lease.Lease{Generation: 7, Expires: lease.Clock() + time.Minute}).Write(system.Machine{}, g.Settings.Run("lease")); err != nil {
		t.Fatal(err)
	}
	if standing := <-done; !standing.Leased {
		t.Errorf("the share: %+v", standing)
	}
}

// I5: a directory that is not known to hold this cluster's share is neither served nor written to.
func TestMarker(t *testing.T) {
	dir := t.TempDir()
	refused := func(words string) {
		t.Helper()
		if err := CheckMarker(dir, "test"); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %s", err, words)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, Marker), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refused("is its file system mounted?")
	write("")
	refused("holds another share")
	write("cluster: other\n")
	refused("holds another share")
	write("cluster: test\n")
	if err := CheckMarker(dir, "test"); err != nil {
		t.Error(err)
	}
}
