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
	"hafs/lib/host/problem"
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
	// Problems are those besides the one in Facts: of units, and of file systems that still work.
	Problems  []problem.Problem `json:"problems,omitempty"`
	FreeBytes uint64            `json:"free_bytes"` // of the share's file system
	SizeBytes uint64            `json:"size_bytes"`
}

const (
	canaryInterval = time.Second
	// canaryPatience is how long a file system may take for one small write. A busy disk stalls for seconds; one that stalls longer is as good as
	// frozen.
	canaryPatience = 8 * time.Second
	// slowWrite is how long a write takes that is worth a note; slowShown is how long it is worth it.
	slowWrite = time.Second
	slowShown = 3 * time.Second
)

// canary writes to a file system again and again and remembers when that last worked.
type canary struct {
	directory string
	grave     func(error) bool // an answer after which nothing is to be expected of the file system

	mu      sync.Mutex
	worked  time.Time
	problem problem.Problem
	failed  bool          // the last answer was grave
	began   time.Time     // of the write that is under way; zero: none is
	slow    time.Duration // how long one took that took long
	slowAt  time.Time
}

// run blocks in the write when the disk hangs; that is the point: worked then grows old.
func (c *canary) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.begin()
		c.hear(disk.Try(c.directory))
		sleep(ctx, canaryInterval)
	}
}

// hear takes what came of a write. A disk that answers no is told from one that does not answer: the grave answers count at once, some others
// mean that it works, and whatever is left counts when it stays.
func (c *canary) hear(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took := time.Since(c.began); !c.began.IsZero() && took > slowWrite {
		c.slow, c.slowAt = took, time.Now()
	}
	c.began = time.Time{}
	c.failed, c.problem = err != nil && c.grave(err), problem.Problem{}
	if err != nil {
		c.problem = problem.Problem{ID: disk.Problem(err), Part: c.directory, Text: fmt.Sprintf("write to %s: %v", c.directory, err)}
	}
	if err == nil || !c.failed && answersAtLeast(err) {
		c.worked = time.Now()
	}
}

func (c *canary) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = time.Now()
}

// slowness says of a file system that works how long a write takes that takes long.
func (c *canary) slowness() (p problem.Problem, slow bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.slow
	if !c.began.IsZero() && time.Since(c.began) > slowWrite {
		took = time.Since(c.began)
	} else if time.Since(c.slowAt) > slowShown {
		return p, false
	}
	text := fmt.Sprintf("a write of 512 bytes to %s takes %s", c.directory, took.Round(100*time.Millisecond))
	return problem.Problem{ID: problem.Slow, Part: c.directory, Text: text, Note: true}, true
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

func (c *canary) state() (healthy bool, p problem.Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := time.Since(c.worked)
	p = problem.Problem{ID: problem.Frozen, Part: c.directory, Text: fmt.Sprintf("no write to %s has succeeded for %s", c.directory, age.Round(time.Second))}
	stuck := !c.began.IsZero() && time.Since(c.began) > canaryPatience/2 // whatever it answered before
	switch {
	case age > canaryPatience && (stuck || c.problem.Text == ""):
		return false, p
	case age > canaryPatience && !c.failed:
		p.ID, p.Text = c.problem.ID, fmt.Sprintf("%s; no write has succeeded for %s", c.problem.Text, age.Round(time.Second))
		return false, p
	}
	return !c.failed, c.problem
}

// health says whether this server's file systems work, by its own look and by what clients of the share meet, and if not, why.
func (d *Daemon) health() (healthy bool, p problem.Problem) {
	d.mu.Lock()
	unfit := d.unfit
	d.mu.Unlock()
	if unfit.Text != "" {
		return false, unfit
	}
	return health(d.canaries)
}

// health says whether all file systems this server needs work, and of the first that does not, or might not, why.
func health(canaries []*canary) (healthy bool, p problem.Problem) {
	healthy = true
	for _, c := range canaries {
		h, its := c.state()
		if healthy && !h || p.Text == "" {
			p = its
		}
		healthy = healthy && h
	}
	return healthy, p
}

// further are the problems besides those of health: file systems that are slow or about to be full, and units.
func (d *Daemon) further(now time.Time) []problem.Problem {
	var found []problem.Problem
	for _, c := range d.canaries {
		if healthy, _ := c.state(); !healthy {
			continue
		}
		if p, slow := c.slowness(); slow {
			found = append(found, p)
		}
		var st unix.Statfs_t
		if unix.Statfs(c.directory, &st) == nil {
			found = append(found, scarce(c.directory, c.directory == d.Settings.StateDirectory, st)...)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(found, d.parts.problems(d.unwatched, now)...)
}

const (
	fewInodes = 1000
	// stateRoom is what generations, votes and positions need for a long time; what is free of the share's file system everybody tells.
	stateRoom = 16 << 20
)

// scarce says what will soon be missing in a directory's file system. Some have no number of inodes that they could run out of.
func scarce(directory string, state bool, st unix.Statfs_t) []problem.Problem {
	var found []problem.Problem
	if st.Files > 0 && st.Ffree < fewInodes {
		text := fmt.Sprintf("only %d inodes are left in %s", st.Ffree, directory)
		found = append(found, problem.Problem{ID: problem.NoInodes, Part: directory, Text: text})
	}
	if free := st.Bavail * uint64(st.Bsize); state && free < stateRoom {
		text := fmt.Sprintf("only %d KiB are left in %s", free>>10, directory)
		found = append(found, problem.Problem{ID: problem.NoRoom, Part: directory, Text: text})
	}
	return found
}

func space(directory string) (free, size uint64) {
	var st unix.Statfs_t
	if unix.Statfs(directory, &st) != nil {
		return 0, 0
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize)
}
