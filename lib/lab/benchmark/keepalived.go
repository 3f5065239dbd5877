package benchmark

import (
	"context"
	"errors"
	"fmt"

	"hafs/lib/lab/guests"
)

// keepalived moves a virtual address between servers whose copies are lsyncd's; clients mount it by sshfs.
type keepalived struct{ lsyncd }

func (*keepalived) Name() string { return "keepalived" }

func (s *keepalived) Settings() []string {
	return append([]string{"VRRP 3", "adverts each 0.1 s", "sshfs -o " + sshfsOptions + " of the virtual address"}, s.lsyncd.Settings()...)
}

const keepalivedConfig = `global_defs {
  vrrp_version 3
  vrrp_garp_master_repeat 2
}
vrrp_instance bench {
  state BACKUP
  nopreempt
  interface host0
  virtual_router_id 51
  priority %d
  advert_int 0.1
  virtual_ipaddress {
    %s/24
  }
}
`

func (s *keepalived) Start(ctx context.Context, f *Field) error {
	if err := s.lsyncd.Start(ctx, f); err != nil {
		return err
	}
	for i, on := range keepers {
		err := f.put(ctx, on, "/etc/bench-keepalived.conf", "644", fmt.Sprintf(keepalivedConfig, 150-50*i, guests.VirtualAddress))
		if err == nil {
			err = f.begin(ctx, on, "keepalived", "exec keepalived --dont-fork --use-file=/etc/bench-keepalived.conf")
		}
		if err != nil {
			return err
		}
	}
	_, err := f.sh(ctx, source, "for i in $(seq 50); do ! ip -brief address | grep -q "+guests.VirtualAddress+" || exit 0; sleep 0.1; done; echo no virtual address; exit 1")
	return err
}

func (s *keepalived) Mount(ctx context.Context, f *Field) (Place, error) {
	return f.sshfs(ctx, guests.VirtualAddress)
}

func (s *keepalived) Stop(ctx context.Context, f *Field) error {
	return errors.Join(f.unmount(ctx, client), s.lsyncd.Stop(ctx, f))
}
