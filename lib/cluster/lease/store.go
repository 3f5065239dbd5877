package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/host/system"
)

// Clock is CLOCK_BOOTTIME: it never jumps, and counts the time a machine sleeps.
func Clock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

// Read reads the lease from a file such as /run/hafs/lease. No file is no lease and no error.
func Read(path string) (Lease, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Lease{}, nil
	}
	if err != nil {
		return Lease{}, fmt.Errorf("lease: %w", err)
	}
	var l Lease
	if n, err := fmt.Sscanf(string(text), "%d %d\n", &l.Generation, &l.Expires); n != 2 || err != nil {
		return Lease{}, fmt.Errorf("lease %s is damaged: %q", path, text)
	}
	return l, nil
}

// Held says whether this server has the lease now. Whatever keeps it from knowing means no. It is true after hafs-linkcheck has hung only
// until the lease has run out.
func Held(path string) bool {
	l, err := Read(path)
	return err == nil && l.Held(Clock())
}

// Write puts the lease in the place of the one before. Readers find one or the other.
func (l Lease) Write(m system.Machine, path string) error {
	return m.Replace("note lease", path, fmt.Appendf(nil, "%d %d\n", l.Generation, l.Expires), 0o644)
}

// Remove takes the lease away; it is no error if there is none.
func Remove(m system.Machine, path string) error { return m.RemoveAll("remove lease", path) }

// unheld is how long nobody has to look at a lease that is not held: the file that is written makes an event.
const unheld = time.Hour

// Ends is how long it is until the lease in the file runs out, a long time if there is none that is good now.
func Ends(path string) time.Duration {
	l, err := Read(path)
	if now := Clock(); err == nil && l.Held(now) {
		return l.Expires - now + time.Millisecond
	}
	return unheld
}
