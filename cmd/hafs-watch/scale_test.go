package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var scale = flag.Int("scale", 10_000, "files in the share of TestScale; a tenth as many directories")

const (
	filesEach     = 10 // in each directory
	trees         = 10
	scalePatience = 5 * time.Minute
	// settled is more than the margin by which a date is distrusted.
	settled = 3 * time.Second
	// changedFiles is how many files really change while events are lost.
	changedFiles = 300
)

// scaled is a running hafs-watch over a large share.
type scaled struct {
	t     *testing.T
	share string
	cmd   *exec.Cmd
	log   string // the file of its log
	lines chan string
}

// TestScale prints what a large share costs: go test ./cmd/hafs-watch -run TestScale -scale 1000000 -v
func TestScale(t *testing.T) {
	s := &scaled{t: t, share: filepath.Join(t.TempDir(), "share"), lines: make(chan string, 1<<20)}
	directories := s.make(*scale / filesEach)
	begin := time.Now()
	s.start()
	s.until("rescan .")
	t.Logf("%d files in %d directories: ready after %v, %v of processor time, %s", *scale, directories, since(begin), s.processor(), s.memory())
	s.barrier("ready")

	begin = time.Now()
	must(t, os.Rename(filepath.Join(s.share, "0"), filepath.Join(s.share, "moved")))
	s.until("rescan moved")
	t.Logf("rename of a directory with %d below it: reported after %v", directories/trees-1, time.Since(begin).Round(10*time.Microsecond))
	s.touch("moved/0/0/new")
	s.until("look moved/0/0/new")

	s.overflow()
	must(t, s.cmd.Process.Signal(syscall.SIGTERM))
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, s.read())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func since(begin time.Time) time.Duration { return time.Since(begin).Round(time.Millisecond) }

// make makes the share: trees of equal size, two levels of directories deep, with files in every directory.
func (s *scaled) make(directories int) (made int) {
	s.t.Helper()
	var wide int
	for wide = 1; trees*(1+wide+wide*wide) < directories; wide++ {
	}
	add := func(path string) {
		if made++; made > directories {
			return
		}
		must(s.t, os.MkdirAll(filepath.Join(s.share, path), 0o755))
		for i := range filesEach {
			s.touch(filepath.Join(path, fmt.Sprintf("file-%d", i)))
		}
	}
	for a := range trees {
		add(fmt.Sprint(a))
	}
	for b := range wide {
		for a := range trees {
			add(fmt.Sprintf("%d/%d", a, b))
		}
		for c := range wide {
			for a := range trees {
				add(fmt.Sprintf("%d/%d/%d", a, b, c))
			}
		}
	}
	return min(made, directories)
}

func (s *scaled) touch(path string) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.share, path), nil, 0o644))
}

func (s *scaled) start() {
	s.cmd = exec.Command("hafs-watch", "--share", s.share, "--settle", "0s")
	s.log = filepath.Join(s.t.TempDir(), "log")
	log, err := os.Create(s.log)
	must(s.t, err)
	defer log.Close()
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, s.cmd.Start())
	s.t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			s.lines <- in.Text()
		}
	}()
}

func (s *scaled) read() string {
	text, err := os.ReadFile(s.log)
	must(s.t, err)
	return string(text)
}

// until waits for a line, and returns those before it.
func (s *scaled) until(want string) (before []string) {
	s.t.Helper()
	deadline := time.After(scalePatience)
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				s.t.Fatalf("ended before %q: %s", want, s.read())
			}
			if line == want {
				return before
			}
			before = append(before, line)
		case <-deadline:
			s.t.Fatalf("no %q within %v", want, scalePatience)
		}
	}
}

func (s *scaled) barrier(id string) []string {
	s.touch(".hafs-tmp.cookie." + id)
	before := s.until("barrier " + id)
	must(s.t, os.Remove(filepath.Join(s.share, ".hafs-tmp.cookie."+id)))
	return before
}

// overflow stops the program while more happens than the kernel keeps, and measures what it costs to find what was lost.
func (s *scaled) overflow() {
	queue, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(s.t, err)
	limit, err := strconv.Atoi(strings.TrimSpace(string(queue)))
	must(s.t, err)
	must(s.t, os.MkdirAll(filepath.Join(s.share, "busy"), 0o755))
	var busy []*os.File
	for i := range changedFiles {
		f, err := os.Create(filepath.Join(s.share, "busy", fmt.Sprint(i)))
		must(s.t, err)
		defer f.Close()
		busy = append(busy, f)
	}
	s.barrier("busy")
	time.Sleep(settled) // what was made before is not to be taken for changed
	s.stop()
	for i := range limit + changedFiles {
		_, err := busy[i%changedFiles].WriteAt([]byte("x"), 0)
		must(s.t, err)
	}
	must(s.t, os.Remove(filepath.Join(s.share, "1/0/0/file-0")))
	must(s.t, os.Rename(filepath.Join(s.share, "2"), filepath.Join(s.share, "found")))
	s.touch("1/1/lost")
	spent := s.processor()
	begin := time.Now()
	must(s.t, s.cmd.Process.Signal(syscall.SIGCONT))
	lines := s.barrier("overflow")
	took, cost := since(begin), s.processor()-spent
	slices.Sort(lines) // what was not lost is told many times
	lines = slices.Compact(lines)
	s.t.Logf("events lost: found after %v, with %v of processor time and %d different lines; %s", took, cost, len(lines), s.memory())
	all := "\n" + strings.Join(lines, "\n") + "\n"
	for _, want := range []string{"rescan 1/0/0", "rescan found", "look 2", "look 1/1/lost", "look busy/7"} {
		if !strings.Contains(all, "\n"+want+"\n") {
			s.t.Errorf("no %q", want)
		}
	}
	if strings.Contains(all, "\nrescan .\n") || len(lines) > 4*changedFiles {
		s.t.Errorf("%d lines; all is to be compared: %v", len(lines), strings.Contains(all, "\nrescan .\n"))
	}
	if !strings.Contains(s.read(), "the kernel lost events") {
		s.t.Errorf("no events were lost: %s", s.read())
	}
}

// stop stops the program. Each of its threads goes on until it is its turn on a processor once more.
func (s *scaled) stop() {
	must(s.t, s.cmd.Process.Signal(syscall.SIGSTOP))
	for deadline := time.Now().Add(scalePatience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		must(s.t, err)
		running := slices.ContainsFunc(threads, func(path string) bool {
			stat, err := os.ReadFile(path)
			return err == nil && !bytes.Contains(stat, []byte(") T "))
		})
		if !running {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("it does not stop")
		}
	}
}

// processor is the processor time the program has used.
func (s *scaled) processor() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	must(s.t, err)
	const userTime, systemTime, tick = 11, 12, 10 * time.Millisecond // after the name, see proc(5)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(fields[userTime])
	system, _ := strconv.Atoi(fields[systemTime])
	return time.Duration(user+system) * tick
}

func (s *scaled) memory() string {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid))
	must(s.t, err)
	var sizes []string
	for line := range strings.Lines(string(rollup)) {
		if f := strings.Fields(line); f[0] == "Rss:" || f[0] == "Pss:" || f[0] == "Private_Dirty:" {
			kib, _ := strconv.Atoi(f[1])
			sizes = append(sizes, fmt.Sprintf("%s %.1f MiB", strings.TrimSuffix(f[0], ":"), float64(kib)/1024))
		}
	}
	return strings.Join(sizes, ", ")
}
