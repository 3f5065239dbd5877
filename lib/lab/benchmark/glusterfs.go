package benchmark

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// glusterfs writes to all three servers before it answers.
type glusterfs struct{}

func (*glusterfs) Name() string { return "glusterfs" }

func (*glusterfs) Settings() []string {
	return []string{"replica 3", "network.ping-timeout 3", "the source writes through a mount", "replicas are looked at in their bricks"}
}

const brick = "/srv/brick/bench"

func (*glusterfs) Source() Place     { return Place{source, mountPoint} }
func (*glusterfs) Replicas() []Place { return []Place{{first, brick}, {second, brick}} }
func (*glusterfs) Then() string      { return "" }

func (s *glusterfs) Start(ctx context.Context, f *Field) error {
	if err := f.shAll(ctx, keepers, "mkdir -p "+brick+" && systemctl start glusterd"); err != nil {
		return err
	}
	var bricks []string
	for _, on := range keepers {
		bricks = append(bricks, on+":"+brick)
	}
	script := fmt.Sprintf(`g() { gluster --mode=script "$@" >/dev/null; }
g peer probe %s; g peer probe %s
for i in 1 2 3 4 5 6 7 8 9 10; do [ $(gluster pool list | grep -c Connected) = 3 ] && break; sleep 1; done
g volume create bench replica 3 %s force
g volume set bench network.ping-timeout 3
g volume start bench`, first, second, strings.Join(bricks, " "))
	if _, err := f.sh(ctx, source, script); err != nil {
		return err
	}
	_, err := f.sh(ctx, source, "mkdir -p "+mountPoint+" && mount -t glusterfs "+source+":/bench "+mountPoint)
	return err
}

func (s *glusterfs) Mount(ctx context.Context, f *Field) (Place, error) {
	if err := f.unmount(ctx, client); err != nil {
		return Place{}, err
	}
	_, err := f.sh(ctx, client, fmt.Sprintf("mkdir -p %s && mount -t glusterfs -o backup-volfile-servers=%s:%s %s:/bench %s",
		mountPoint, first, second, source, mountPoint))
	return Place{client, mountPoint}, err
}

func (s *glusterfs) Stop(ctx context.Context, f *Field) error {
	err := f.unmount(ctx, users...)
	// What glusterd remembers goes with its files; asking it to forget takes longer, and needs all servers.
	return errors.Join(err, f.shAll(ctx, keepers, `systemctl stop glusterd
for p in glusterfsd glusterfs; do for pid in $(pidof $p); do kill -9 $pid || :; done; done
rm -rf /srv/brick /var/lib/glusterd/vols/* /var/lib/glusterd/peers/* /var/lib/glusterd/glusterd.info`))
}
