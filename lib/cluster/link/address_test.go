package link

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/vishvananda/netlink"

	"hafs/lib/cluster/lease"
	"hafs/lib/host/config"
	"hafs/lib/host/system"
)

const inOwnNetwork = "HAFS_TEST_OWN_NETWORK"

// What the lease shows on a real interface, in a network namespace of its own: file and address come and go together.
func TestLeaseOnThisMachine(t *testing.T) {
	if os.Getenv(inOwnNetwork) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inOwnNetwork+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			t.Skip("needs root: ", err)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "there"}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Skip("no veth: ", err)
	}
	for _, name := range []string{"here", "there"} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	here, err := netlink.LinkByName("here")
	if err != nil {
		t.Fatal(err)
	}
	r := three(t, 7, "a")
	self, _ := r.Server("a")
	if err := netlink.AddrAdd(here, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(self.Address), Mask: net.CIDRMask(24, 32)}}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &Daemon{Settings: config.Settings{Name: "a", ExaminationTime: 400 * time.Millisecond, StateDirectory: dir, RunDirectory: dir}, Log: zerolog.New(os.Stderr)}
	d.open()
	d.record, d.confirmed = r, true
	if err := d.remember(time.Now()); err != nil {
		t.Fatal(err)
	}
	d.serve()
	shows := func() (address, file bool) {
		address, err := system.HasAddress("here", r.VirtualIP())
		if err != nil {
			t.Fatal(err)
		}
		return address, lease.Held(d.Settings.Run("lease"))
	}
	eventually := func(want bool) {
		t.Helper()
		deadline := time.Now().Add(5 * time.Second)
		for {
			address, file := shows()
			if address == want && file == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("address %v, file %v, want %v", address, file, want)
			}
			time.Sleep(time.Millisecond)
		}
	}
	answer := func() {
		d.serving.answered("b", Request{Kind: Beat, Healthy: true, Lease: d.serving.seeks()}, time.Now(), good)
	}
	eventually(false)
	answer()
	eventually(true)
	for started := time.Now(); time.Since(started) < 1500*time.Millisecond; <-time.After(50 * time.Millisecond) {
		answer()
		if address, file := shows(); !address || !file {
			t.Fatalf("while a majority answers: address %v, file %v", address, file)
		}
	}
	last := time.Now()
	answer()
	eventually(false)
	if took := time.Since(last); took < 350*time.Millisecond || took > 900*time.Millisecond {
		t.Errorf("address and file were gone after %s, the lease after 380 ms", took)
	}
	answer()
	eventually(true)
	d.record = three(t, 8, "b")
	d.serve()
	if address, file := shows(); address || file {
		t.Errorf("not FS any more: address %v, file %v", address, file)
	}
}
