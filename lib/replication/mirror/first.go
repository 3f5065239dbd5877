package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hafs/lib/host/system"
)

// stride is more changes than one process numbers: at ten thousand a second it takes three years.
const stride = 1_000_000_000_000

// FirstNumber is where a process that starts now begins to number the changes of the share, for Mirror.First. No process before it came so far, and none after it
// will begin below what it numbers, whatever was lost with the power: a position of a generation is never told twice, of two states of the share. The file keeps
// where the next one begins; it is synced before the first number is used.
func FirstNumber(file string) (uint64, error) {
	text, err := os.ReadFile(file)
	first := uint64(0)
	switch {
	case err == nil:
		if first, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
			return 0, fmt.Errorf("read where numbers begin in %s: %w", file, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("read where numbers begin: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return 0, fmt.Errorf("note where numbers begin: %w", err)
	}
	next := strconv.FormatUint(first+stride, 10) + "\n"
	if err := (system.Machine{}).Replace("note where numbers begin", file, []byte(next), 0o644); err != nil {
		return 0, fmt.Errorf("note where numbers begin: %w", err)
	}
	return first, nil
}
