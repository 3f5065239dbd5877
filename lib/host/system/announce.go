package system

import (
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// Announce tells the neighbours once where an address (IP/prefix) is now: by gratuitous ARP, or by an unsolicited neighbour advertisement (RFC 4861,
// 7.2.6). Switches and older kernels miss single announcements: callers repeat it.
func (m Machine) Announce(step, iface, prefix string) error {
	return m.do(step, func() error {
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			return err
		}
		ifi, err := net.InterfaceByName(iface)
		if err != nil {
			return err
		}
		if p.Addr().Is4() {
			return gratuitous(ifi, p.Addr())
		}
		return unsolicited(ifi, p.Addr())
	})
}

func gratuitous(ifi *net.Interface, address netip.Addr) error {
	c, err := arp.Dial(ifi)
	if err != nil {
		return err
	}
	defer c.Close()
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	packet, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, address, broadcast, address)
	if err != nil {
		return err
	}
	return c.WriteTo(packet, broadcast)
}

// unsolicited overrides what all nodes of the link remember. The kernel sends such an advertisement only where ndisc_notify is set, and duplicate
// address detection solicits the address's own group, which those who remember the old place do not hear.
func unsolicited(ifi *net.Interface, address netip.Addr) error {
	c, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return err
	}
	defer c.Close()
	here := &ndp.LinkLayerAddress{Direction: ndp.Target, Addr: ifi.HardwareAddr}
	return c.WriteTo(&ndp.NeighborAdvertisement{Override: true, TargetAddress: address, Options: []ndp.Option{here}}, nil, netip.IPv6LinkLocalAllNodes())
}
