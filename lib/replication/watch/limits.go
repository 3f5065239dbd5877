package watch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
)

// ErrLimit means that a limit of the kernel stands in the way; the message names the setting.
var ErrLimit = errors.New("inotify limit reached")

const (
	watchesSetting   = "fs.inotify.max_user_watches"
	instancesSetting = "fs.inotify.max_user_instances"
	queueSetting     = "fs.inotify.max_queued_events"

	// queueAdvised is what makes the queue outlast a rename or a removal of a large tree on a busy machine.
	queueAdvised = 131072
)

// setting reads a sysctl; 0 if there is none.
func setting(name string) int {
	text, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

func limit(id problem.ID, name, why string, needed int) error {
	return problem.As(id, fmt.Errorf("%w: %s is %d, too few for %s; raise it: sysctl -w %s=%d", ErrLimit, name, setting(name), why, name, needed))
}

func instancesLimit() error {
	return limit(problem.NoInotify, instancesSetting, "one more instance", 2*max(128, setting(instancesSetting)))
}

// watchesLimit counts the directories, so that whoever raises the limit has to do it once. Other programs of the same user have their part of it.
func (d *directories) watchesLimit() error {
	n := d.count(d.root.Descriptor(), ".")
	return limit(problem.NoWatches, watchesSetting, fmt.Sprintf("the %d directories of the share", n), 2*max(n, setting(watchesSetting)))
}

func (d *directories) count(dir int, name string) int {
	n := 1
	fd, err := openDirectory(dir, name)
	if err != nil || fd < 0 {
		return n
	}
	defer unix.Close(fd)
	d.turn()
	below, _ := list(fd, d.buffer, nil)
	for _, name := range below {
		n += d.count(fd, name)
	}
	return n
}

// gauge decides when to warn that watches run short: at 80 %, and again when their number has doubled. It knows only the watches of this
// program; the limit is for all programs of the user.
type gauge struct{ warned int }

func (g *gauge) short(used, limit int) bool {
	if limit == 0 || 10*used < 8*limit || used < 2*g.warned {
		return false
	}
	g.warned = used
	return true
}
