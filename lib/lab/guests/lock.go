package guests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps two programs from changing the lab at once. Waiting is fine: no change takes long.
func (l *Lab) lock() (func(), error) {
	file, err := os.OpenFile(l.lockPath(), os.O_CREATE|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no lab in %s", l.Dir)
	} else if err != nil {
		return nil, fmt.Errorf("lock lab: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock lab: %w", err)
	}
	return func() { file.Close() }, nil
}
