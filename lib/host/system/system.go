// Package system is the only door to what a decision may change on this machine: files, links, addresses, units and
// processes. Every changing call carries the name of the step it is, so that a test can make exactly that step fail and a
// log line can say what was being done.
package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// Machine is this machine. Before, when set, is asked before every changing call; an error it returns takes the place of the call.
type Machine struct {
	Before func(step string) error
}

func (m Machine) do(step string, act func() error) error {
	if m.Before != nil {
		if err := m.Before(step); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	if err := act(); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

// Now is the time of day with the monotonic reading.
func (m Machine) Now() time.Time { return time.Now() }

// MakeDirectory makes a directory and those above it; it is no error if something has its name. Nobody asks what that is: it may be a
// mount that hangs.
func (m Machine) MakeDirectory(step, path string, mode fs.FileMode) error {
	return m.do(step, func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// WriteNew writes a file that nobody reads yet, and syncs it.
func (m Machine) WriteNew(step, path string, data []byte, mode fs.FileMode) error {
	return m.do(step, func() error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Sync(), f.Close())
	})
}

// Replace puts a whole new content in the place of a file, for readers at any moment; it does not survive a power loss at once.
func (m Machine) Replace(step, path string, data []byte, mode fs.FileMode) error {
	return m.do(step, func() error {
		return renameio.WriteFile(path, data, mode, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	})
}

// ReplaceUnsynced is Replace for what may be lost: after a power loss the old content is there, or the new, or none.
func (m Machine) ReplaceUnsynced(step, path string, data []byte, mode fs.FileMode) error {
	return m.do(step, func() error {
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			return errors.Join(err, os.Remove(f.Name()))
		}
		return nil
	})
}

// Rename moves a file or directory within a file system.
func (m Machine) Rename(step, from, to string) error {
	return m.do(step, func() error { return os.Rename(from, to) })
}

// RemoveAll removes a file or a tree; it is no error if there is none.
func (m Machine) RemoveAll(step, path string) error {
	return m.do(step, func() error { return os.RemoveAll(path) })
}

// SwapLink makes link lead to target; readers see the old link or the new one, never none.
func (m Machine) SwapLink(step, target, link string) error {
	return m.do(step, func() error {
		if st, err := os.Lstat(link); err == nil && st.Mode()&fs.ModeSymlink == 0 {
			return fmt.Errorf("%s is not a symbolic link; move it out of the way first", link)
		}
		return renameio.Symlink(target, link)
	})
}

// SyncDirectory makes what was created, renamed or swapped in a directory survive a power loss.
func (m Machine) SyncDirectory(step, path string) error {
	return m.do(step, func() error {
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}

// End asks a process to end; it is no error if there is none any more.
func (m Machine) End(step string, pid int) error {
	return m.do(step, func() error {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	})
}
