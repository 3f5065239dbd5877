package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/host/disk"
)

// Details are all a server knows of itself, for hafs-status.
type Details struct {
	Facts     Facts           `json:"facts"`
	Confirmed bool            `json:"confirmed"`
	Leased    bool            `json:"leased,omitempty"`    // it is FS and may serve
	Refilling bool            `json:"refilling,omitempty"` // its disk was taken for a new one (hafs-promote init --empty), and its copy is not whole yet
	Role      json.RawMessage `json:"role,omitempty"`      // role.json
	Mirror    json.RawMessage `json:"mirror,omitempty"`    // mirror.json
	Dial      json.RawMessage `json:"dial,omitempty"`      // dial.json
	Peers     map[string]Peer `json:"peers,omitempty"`
	FreeBytes uint64          `json:"free_bytes"` // of the share's file system
	SizeBytes uint64          `json:"size_bytes"`
}

const (
	canaryInterval = time.Second
	// canaryPatience is how long a file system may take for one small write. A busy disk stalls for seconds; one that stalls longer is as good as
	// frozen.
	canaryPatience = 8 * time.Second
)

// canary writes to a file system again and again and remembers when that last worked.
type canary struct {
	directory string
	grave     func(error) bool // an answer after which nothing is to be expected of the file system

	mu      sync.Mutex
	worked  time.Time
	problem string
	failed  bool // the last answer was grave
}

// run blocks in the write when the disk hangs; that is the point: worked then grows old.
func (c *canary) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.hear(disk.Try(c.directory))
		sleep(ctx, canaryInterval)
	}
}

// hear takes what came of a write. A disk that answers no is told from one that does not answer: the grave answers count at once, some others
// mean that it works, and whatever is left counts when it stays.
func (c *canary) hear(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed, c.problem = err != nil && c.grave(err), ""
	if err != nil {
		c.problem = fmt.Sprintf("write to %s: %v", c.directory, err)
	}
	if err == nil || !c.failed && answersAtLeast(err) {
		c.worked = time.Now()
	}
}

// answersAtLeast are answers that are no reason to fail a server: a full disk, and an absent directory, which is refused where data would enter it.
func answersAtLeast(err error) bool {
	return isOneOf(err, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOENT)
}

// graveForState: a server that cannot save its vote can give none.
func graveForState(err error) bool {
	return disk.Grave(err) || isOneOf(err, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOENT)
}

func isOneOf(err error, numbers ...syscall.Errno) bool {
	return slices.ContainsFunc(numbers, func(n syscall.Errno) bool { return errors.Is(err, n) })
}

func (c *canary) state() (healthy bool, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := time.Since(c.worked); age > canaryPatience && !c.failed {
		return false, fmt.Sprintf("no write to %s has succeeded for %s", c.directory, age.Round(time.Second))
	}
	return !c.failed, c.problem
}

// health says whether this server's file systems work, by its own look and by what clients of the share meet, and if not, why.
func (d *Daemon) health() (healthy bool, problem string) {
	d.mu.Lock()
	unfit := d.unfit
	d.mu.Unlock()
	if unfit != "" {
		return false, unfit
	}
	return health(d.canaries)
}

// health says whether all file systems this server needs work, and of the first that does not, or might not, why.
func health(canaries []*canary) (healthy bool, problem string) {
	healthy = true
	for _, c := range canaries {
		h, p := c.state()
		if healthy && !h || problem == "" {
			problem = p
		}
		healthy = healthy && h
	}
	return healthy, problem
}

func space(directory string) (free, size uint64) {
	var st unix.Statfs_t
	if unix.Statfs(directory, &st) != nil {
		return 0, 0
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize)
}
