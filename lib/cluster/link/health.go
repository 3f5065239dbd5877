package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Details are all a server knows of itself, for hafs-status.
type Details struct {
	Facts     Facts           `json:"facts"`
	Confirmed bool            `json:"confirmed"`
	Leased    bool            `json:"leased,omitempty"` // it is FS and may serve
	Role      json.RawMessage `json:"role,omitempty"`   // role.json
	Mirror    json.RawMessage `json:"mirror,omitempty"` // mirror.json
	Dial      json.RawMessage `json:"dial,omitempty"`   // dial.json
	Peers     map[string]Peer `json:"peers,omitempty"`
	FreeBytes uint64          `json:"free_bytes"` // of the share's file system
	SizeBytes uint64          `json:"size_bytes"`
}

const (
	canaryInterval = time.Second
	// canaryPatience is how long the share's file system may take for one small write. A busy disk stalls for seconds; one that stalls
	// longer is as good as frozen.
	canaryPatience = 8 * time.Second
)

// canary writes to the share's file system again and again and remembers when that last worked.
type canary struct {
	directory string

	mu      sync.Mutex
	worked  time.Time
	problem string
}

// run blocks in the write when the disk hangs; that is the point: worked then grows old.
func (c *canary) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := writeCanary(c.directory)
		c.mu.Lock()
		if err == nil || answersAtLeast(err) {
			c.worked = time.Now()
		}
		c.problem = ""
		if err != nil {
			c.problem = fmt.Sprintf("write to %s: %v", c.directory, err)
		}
		c.mu.Unlock()
		sleep(ctx, canaryInterval)
	}
}

// answersAtLeast tells a disk that answers no from one that does not answer. A full disk is no reason to fail a server, and an absent
// directory is refused where data would enter it.
func answersAtLeast(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.ENOENT)
}

func (c *canary) state() (healthy bool, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := time.Since(c.worked); age > canaryPatience {
		return false, fmt.Sprintf("no write to %s has succeeded for %s", c.directory, age.Round(time.Second))
	}
	return true, c.problem
}

// writeCanary writes and syncs a file without a name: it shows in no listing, and changes no directory's time.
func writeCanary(directory string) error {
	fd, err := unix.Open(directory, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "canary")
	_, err = f.Write(make([]byte, 512))
	return errors.Join(err, unix.Fdatasync(int(f.Fd())), f.Close())
}

func space(directory string) (free, size uint64) {
	var st unix.Statfs_t
	if unix.Statfs(directory, &st) != nil {
		return 0, 0
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize)
}
