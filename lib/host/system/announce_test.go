package system

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// A neighbour that remembers the address elsewhere learns where it is now, at once and without asking.
func TestANeighbourLearnsWhereTheAddressIs(t *testing.T) {
	for _, prefix := range []string{"192.0.2.9/24", "2001:db8::9/64"} {
		t.Run(prefix, func(t *testing.T) {
			inNetwork(t, func() error { return neighbourLearns(prefix) })
		})
	}
}

func neighbourLearns(prefix string) error {
	here, there, err := cable()
	if err != nil {
		return err
	}
	ip, _, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	elsewhere := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: there.Attrs().Index, IP: ip, HardwareAddr: elsewhere, State: netlink.NUD_REACHABLE}); err != nil {
		return fmt.Errorf("let the neighbour remember: %w", err)
	}
	m := Machine{}
	if err := m.AddAddress("add", here.Attrs().Name, prefix, time.Minute); err != nil {
		return err
	}
	last := elsewhere
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := m.Announce("announce", here.Attrs().Name, prefix); err != nil {
			return err
		}
		known, err := netlink.NeighList(there.Attrs().Index, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, n := range known {
			if n.IP.Equal(ip) {
				last = n.HardwareAddr
			}
		}
		if last.String() == here.Attrs().HardwareAddr.String() {
			return nil
		}
	}
	return fmt.Errorf("the neighbour still thinks %s is at %s, not at %s", ip, last, here.Attrs().HardwareAddr)
}

// cable is two ends of a link, both up and with their own addresses ready for use.
func cable() (here, there netlink.Link, err error) {
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "there"}); err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"here", "there"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return nil, nil, err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return nil, nil, err
		}
		here, there = there, l
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile("/proc/thread-self/net/if_inet6") // address, interface, prefix length, scope, flags, name
		if err != nil {
			return nil, nil, err
		}
		ready := 0
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 6 && f[4] == "80" { // permanent, and not tentative any more
				ready++
			}
		}
		if ready == 2 {
			return here, there, nil
		}
		if time.Now().After(deadline) {
			return nil, nil, fmt.Errorf("the link's own addresses do not become ready:\n%s", text)
		}
	}
}
