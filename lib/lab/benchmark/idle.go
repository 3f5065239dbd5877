package benchmark

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hafs/lib/lab/guests"
)

const (
	idleFiles = 100_000
	idleBytes = 100
	idleRest  = 15 * time.Second // after the last file has arrived
	idleFor   = 30 * time.Second
	idleLimit = 400 * time.Second
)

// idle measures what a subject takes on the source and on the first replica while nothing happens.
func idle(ctx context.Context, r *run, s Subject) error {
	files, size, within := fmt.Sprintf("--files=%d", idleFiles), fmt.Sprintf("--bytes=%d", idleBytes), "--within="+idleLimit.String()
	if _, err := r.change(ctx, s, []string{"burst", files, size, s.Source().Below("idle")}, func(p Place) []string {
		return []string{"filled", files, size, within, p.Below("idle")}
	}); err != nil {
		return err
	}
	if err := rest(ctx, idleRest); err != nil {
		return err
	}
	guests := []string{source, first}
	before := make([]usage, len(guests))
	for i, on := range guests {
		var err error
		if before[i], err = r.usage(on); err != nil {
			return err
		}
	}
	if err := rest(ctx, idleFor); err != nil {
		return err
	}
	for i, on := range guests {
		after, err := r.usage(on)
		if err != nil {
			return err
		}
		where := []string{"source", "first replica"}[i]
		r.add(s, "idle", where+", processor", "% of one", 100*after.since(before[i]).Seconds()/idleFor.Seconds())
		r.add(s, "idle", where+", memory", "MiB", mebibytes(after.memory()))
	}
	_, err := r.change(ctx, s, []string{"remove", s.Source().Below("idle")}, func(p Place) []string { return []string{"gone", within, p.Below("idle")} })
	return err
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usage is what the processes of a guest have taken, but for those that a bare guest has too.
type usage struct {
	processor map[int]time.Duration // of each process, and of its children that have ended
	pss       map[string]int64      // bytes, by program
}

// memory is that of all programs.
func (u usage) memory() int64 {
	var sum int64
	for _, bytes := range u.pss {
		sum += bytes
	}
	return sum
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// since is the time taken since an earlier look. A process that is new counts from its beginning.
func (u usage) since(before usage) time.Duration {
	var sum time.Duration
	for pid, took := range u.processor {
		sum += took - before.processor[pid]
	}
	return sum
}

// bare are the programs of a guest on which nothing runs, as the kernel calls them.
var bare = map[string]bool{"systemd": true, "(sd-pam)": true, "systemd-journal": true, "systemd-udevd": true, "dbus-daemon": true}

func (f *Field) usage(on string) (usage, error) {
	u := usage{processor: map[int]time.Duration{}, pss: map[string]int64{}}
	m, err := guests.Find(on)
	if err != nil {
		return u, err
	}
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", f.Lab.Leader(m)))
	if err != nil {
		return u, err
	}
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return u, err
	}
	for _, dir := range found {
		if link, err := os.Readlink(dir + "/ns/pid"); err != nil || link != space {
			continue
		}
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		name, took, err := processorTime(string(stat))
		if err != nil {
			return u, err
		}
		if bare[name] || strings.HasPrefix(string(line), "sshd: /usr/sbin/sshd -D [listener]") {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		u.processor[pid] = took
		if smaps, err := os.ReadFile(dir + "/smaps_rollup"); err == nil {
			u.pss[name] += pss(string(smaps))
		}
	}
	return u, nil
}

// tick is the unit of times in /proc/PID/stat.
const tick = 10 * time.Millisecond

// processorTime reads /proc/PID/stat: a program's name, and the time it and its children that have ended took.
func processorTime(stat string) (name string, took time.Duration, err error) {
	open, end := strings.Index(stat, "("), strings.LastIndex(stat, ")")
	if open < 0 || end < open {
		return "", 0, fmt.Errorf("no process's state: %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 15 {
		return "", 0, fmt.Errorf("no process's state: %q", stat)
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return "", 0, err
		}
		took += time.Duration(n) * tick
	}
	return stat[open+1 : end], took, nil
}

// pss reads /proc/PID/smaps_rollup: bytes, pages that several share divided among them.
func pss(rollup string) int64 {
	for line := range strings.Lines(rollup) {
		if after, found := strings.CutPrefix(line, "Pss:"); found {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(after), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
