package link

import (
	"context"
	"time"

	"hafs/lib/record"
	"hafs/lib/system"
)

// announceInterval is how often FS repeats where the virtual address is: a switch that missed the first announcement, or heard a rival's
// later, would send clients astray for good.
const announceInterval = 2 * time.Second

func (d *Daemon) announce(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		r := d.record
		d.mu.Unlock()
		if r.Role(d.Settings.Name) == record.RoleFS {
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
	return system.Interface(self.Address)
}

func (d *Daemon) announceOnce(r record.Record) error {
	iface, err := d.addressInterface(r)
	if err != nil {
		return err
	}
	here, err := system.HasAddress(iface, r.VirtualIP())
	if err != nil || !here {
		return err
	}
	return d.Machine.Announce("announce "+r.FS.VirtualAddress, iface, r.FS.VirtualAddress)
}
