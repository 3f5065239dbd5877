package benchmark

import (
	"context"
	"errors"
)

// plain is what subjects have in common that copy one directory to a second server and from there to a third.
type plain struct{}

func (plain) Source() Place     { return Place{source, directory} }
func (plain) Replicas() []Place { return []Place{{first, directory}, {second, directory}} }
func (plain) Then() string      { return "" }

// stop ends services and kept connections, and removes the files.
func (plain) stop(ctx context.Context, f *Field) error {
	return errors.Join(f.end(ctx, keepers...), f.unkeep(ctx), f.clear(ctx))
}

// mountPoint is where the client's guest finds the directory of a subject other than HAFS.
const mountPoint = "/mnt/bench"

// sshfsOptions are those of every sshfs here.
const sshfsOptions = "reconnect,ServerAliveInterval=1,ServerAliveCountMax=2,dir_cache=yes"

func (f *Field) sshfs(ctx context.Context, from string) (Place, error) {
	if err := f.unmount(ctx, client); err != nil {
		return Place{}, err
	}
	_, err := f.sh(ctx, client, "mkdir -p "+mountPoint+" && sshfs -o "+sshfsOptions+" "+from+":"+directory+" "+mountPoint+" </dev/null >/dev/null 2>&1")
	return Place{client, mountPoint}, err
}

func (f *Field) unmount(ctx context.Context, guests ...string) error {
	return f.shAll(ctx, guests, "! grep -q ' "+mountPoint+" ' /proc/mounts || umount -l "+mountPoint)
}
