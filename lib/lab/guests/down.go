package guests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Down takes the whole lab away, guests' disks included, and keeps only packed trees. A lab that is not there is fine.
func (l *Lab) Down(ctx context.Context) error {
	steps, err := l.PlanDown()
	if err != nil || len(steps) == 0 {
		return err
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, step := range steps {
		if step.Do != doKill { // kill says so itself
			l.Log.Info().Msg(step.String())
		}
		switch step.Do {
		case doKill:
			err = l.kill(ctx, step.Guest)
		case doUnmount:
			// The kernel may still hold the tree for a moment after the last process is gone.
			err = until(ctx, killLimit, func() error { return unmountAll(l.Root(step.Guest)) })
		case undoNetwork:
			err = l.removeNetwork(ctx)
		case undoGroups:
			err = l.removeGroups(ctx)
		case undoInstances:
			err = l.restoreInstances()
		case undoFiles:
			err = l.removeFiles()
		default:
			err = fmt.Errorf("no way to do it")
		}
		if err != nil {
			return fmt.Errorf("down: %s: %w", step, err)
		}
	}
	return nil
}

// PlanDown is what Down would do, a line each.
func (l *Lab) PlanDown() ([]Step, error) {
	f, err := l.facts()
	return planDown(f), err
}

// removeFiles removes the state, the table last: as long as it is there, another Down goes on where this one stopped.
func (l *Lab) removeFiles() error {
	found, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
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
	for _, empty := range []string{propagate, "/run/systemd/nspawn/locks", "/run/systemd/nspawn"} {
		_ = os.Remove(empty) // fails, rightly, when another container of this machine uses it
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
