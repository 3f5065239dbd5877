package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hafs/lib/host/system"
)

// stride is more changes than one process numbers: at ten thousand a second it takes three years.
const stride = 1_000_000_000_000

// FirstNumber is where a process that starts now begins to number the changes of the share, for Mirror.First. No process before it came so far, and none after it
// will begin below what it numbers, whatever was lost with the power: a position of a generation is never told twice, of two states of the share. The file keeps
// where the next one begins; it is synced before the first number is used. One that is damaged is taken for the time, which is further than any stride leads.
func FirstNumber(file string, now time.Time) (uint64, error) {
	first := uint64(0)
	text, err := os.ReadFile(file)
	if err == nil {
		if first, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
			first = uint64(now.UnixNano())
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read where numbers begin: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return 0, fmt.Errorf("note where numbers begin: %w", err)
	}
	next := strconv.FormatUint(first+stride, 10) + "\n"
	if err := (system.Machine{}).Replace("note where numbers begin", file, []byte(next), 0o644); err != nil {
		return 0, fmt.Errorf("note where numbers begin: %w", err)
	}
	if err := (system.Machine{}).SyncDirectory("sync where numbers begin", filepath.Dir(file)); err != nil {
		return 0, fmt.Errorf("sync where numbers begin: %w", err)
	}
	return first, nil
}
