package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Down takes the whole lab away, guests' disks included, and keeps only packed trees. A lab that is not there is fine.
func (l *Lab) Down(ctx context.Context) error {
	if !exists(l.Dir) {
		return nil
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if exists(l.TablePath()) {
		if err := l.removeGuests(ctx); err != nil {
			return fmt.Errorf("down: %w", err)
		}
		if err := l.removeNetwork(ctx); err != nil {
			return fmt.Errorf("down: %w", err)
		}
		if err := l.removeGroups(ctx); err != nil {
			return fmt.Errorf("down: %w", err)
		}
	}
	if err := l.restoreInstances(); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	return l.removeFiles()
}

func (l *Lab) removeGuests(ctx context.Context) error {
	for _, m := range Members() {
		if l.supervisor(m) != 0 {
			l.Log.Info().Str("guest", m.Name).Msg("kill")
		}
		if exists(l.netnsPath()) {
			if err := l.kill(ctx, m); err != nil {
				return err
			}
		}
		if err := until(ctx, 5*time.Second, func() error { return unmountAll(l.Root(m)) }); err != nil {
			return err
		}
	}
	return nil
}

// removeFiles removes the state, the table last: as long as it is there, another Down goes on where this one stopped.
func (l *Lab) removeFiles() error {
	found, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
	l.Log.Info().Str("dir", l.Dir).Msg("remove files")
	for _, e := range found {
		name := e.Name()
		packed := strings.HasPrefix(name, "rootfs-") && strings.HasSuffix(name, ".tar")
		if packed || name == filepath.Base(l.TablePath()) || name == filepath.Base(l.lockPath()) {
			continue
		}
		if err := removeTree(l.path(name)); err != nil {
			return err
		}
	}
	for _, path := range []string{l.TablePath(), l.lockPath()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unmountAll takes off every mount on dir.
func unmountAll(dir string) error {
	for {
		err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil // no mount, or no folder
		case err != nil:
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
}
