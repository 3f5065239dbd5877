package link

import (
	"context"
	"sync"
	"time"

	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/host/system"
)

// announceInterval is how often FS repeats where the virtual address is: a switch that missed the first announcement, or heard a rival's
// later, would send clients astray for good.
const announceInterval = 2 * time.Second

func (d *Daemon) announce(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		r := d.record
		d.mu.Unlock()
		if r.Role(d.Settings.Name) == record.RoleFS && d.serving.leased() {
			if err := d.announceOnce(r); err != nil {
				d.Log.Warn().Err(err).Msg("cannot announce the virtual address")
			}
		}
		sleep(ctx, announceInterval)
	}
}

// addressInterface is where the virtual address belongs: the interface of the settings, or the one with this server's own address.
func (d *Daemon) addressInterface(r record.Record) (string, error) {
	if d.Settings.Interface != "" {
		return d.Settings.Interface, nil
	}
	self, _ := r.Server(d.Settings.Name)
	d.iface.Lock()
	defer d.iface.Unlock()
	if d.iface.address == self.Address {
		return d.iface.name, nil
	}
	name, err := system.Interface(self.Address)
	if err == nil {
		d.iface.address, d.iface.name = self.Address, name
	}
	return name, err
}

// foundInterface remembers the interface of an address: looking at all of them several times a second costs more than all else here.
type foundInterface struct {
	sync.Mutex
	address, name string
}

func (f *foundInterface) forget() {
	f.Lock()
	defer f.Unlock()
	f.address = ""
}

func (d *Daemon) announceOnce(r record.Record) error {
	iface, err := d.addressInterface(r)
	if err != nil {
		return err
	}
	return d.Machine.Announce("announce "+r.FS.VirtualAddress, iface, r.FS.VirtualAddress)
}

// acts are how the lease shows on this machine.
func (d *Daemon) acts() acts {
	path := d.Settings.Run("lease")
	return acts{
		hold: d.hold,
		drop: func(r record.Record) error {
			iface, err := d.addressInterface(r)
			if err != nil {
				return err
			}
			return d.Machine.DropAddress("drop address "+r.FS.VirtualAddress, iface, r.FS.VirtualAddress)
		},
		note: func(r record.Record, remaining time.Duration) error {
			return lease.Lease{Generation: r.Generation, Expires: lease.Clock() + remaining}.Write(d.Machine, path)
		},
		forget: func() error { return lease.Remove(d.Machine, path) },
	}
}

// hold gives this server the virtual address for a while; fresh: it has not got it, and the neighbours must be told.
func (d *Daemon) hold(r record.Record, lifetime time.Duration, fresh bool) error {
	iface, err := d.addressInterface(r)
	if err != nil {
		return err
	}
	if err := d.Machine.AddAddress("add address "+r.FS.VirtualAddress, iface, r.FS.VirtualAddress, lifetime); err != nil {
		d.iface.forget() // it may have another name now
		return err
	}
	if !fresh {
		return nil
	}
	return d.Machine.Announce("announce "+r.FS.VirtualAddress, iface, r.FS.VirtualAddress)
}
