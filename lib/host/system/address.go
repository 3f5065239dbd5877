package system

import (
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interface finds the network interface that carries an address: where the virtual address belongs too.
func Interface(address string) (string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return "", err
	}
	for _, l := range links {
		found, err := addressOn(l, address)
		if err == nil && found != nil {
			return l.Attrs().Name, nil
		}
	}
	return "", fmt.Errorf("no interface has the address %s", address)
}

func addressOn(l netlink.Link, address string) (*netlink.Addr, error) {
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if a.IP.Equal(net.ParseIP(address)) {
			return &a, nil
		}
	}
	return nil, nil
}

// HasAddress says whether an interface has an address.
func HasAddress(iface, address string) (bool, error) {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return false, err
	}
	a, err := addressOn(l, address)
	return a != nil, err
}

// AddAddress gives an interface an address (IP/prefix). With a lifetime, in whole seconds, the kernel itself takes the address away
// that long after the last call; 0 keeps it until DropAddress.
func (m Machine) AddAddress(step, iface, prefix string, lifetime time.Duration) error {
	return m.do(step, func() error {
		l, a, err := parseAddress(iface, prefix)
		if err != nil {
			return err
		}
		a.ValidLft, a.PreferedLft = int(lifetime/time.Second), int(lifetime/time.Second)
		if a.IP.To4() == nil {
			a.Flags |= unix.IFA_F_NODAD // duplicate address detection would keep it from being used for a second; the lease says that nobody else has it
		}
		return netlink.AddrReplace(l, a)
	})
}

// DropAddress takes an address (IP/prefix) from an interface; it is no error if it is not there.
func (m Machine) DropAddress(step, iface, prefix string) error {
	return m.do(step, func() error {
		l, a, err := parseAddress(iface, prefix)
		if err != nil {
			return err
		}
		if found, err := addressOn(l, a.IP.String()); err != nil || found == nil {
			return err
		}
		return netlink.AddrDel(l, a)
	})
}

func parseAddress(iface, prefix string) (netlink.Link, *netlink.Addr, error) {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return nil, nil, err
	}
	a, err := netlink.ParseAddr(prefix)
	return l, a, err
}
