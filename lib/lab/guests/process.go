package guests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var errDown = errors.New("the guest is down")

// supervisor is the process id of the guest's systemd-nspawn, 0 while it is down. The command line is compared, as the
// id may have gone to another process since.
func (l *Lab) supervisor(m Member) int {
	text, err := os.ReadFile(l.pidPath(m))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), "--directory="+l.Root(m)+"\x00") {
		return 0
	}
	return pid
}

// Leader is the process id of the guest's init as the machine sees it, 0 while the guest is down. It changes whenever
// the guest is started. A guest that reboots itself goes down and stays down.
func (l *Lab) Leader(m Member) int {
	supervisor := l.supervisor(m)
	if supervisor == 0 {
		return 0
	}
	for _, pid := range children(supervisor) {
		if isInit(pid) && processState(pid) != 'Z' {
			return pid
		}
	}
	return 0
}

// children are the processes that the process's first thread started.
func children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

func signalChildren(pid int, signal unix.Signal) error {
	for _, child := range children(pid) {
		if err := unix.Kill(child, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// isInit tells the guest's init from the child that systemd-nspawn uses to set the guest up.
func isInit(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if after, found := strings.CutPrefix(line, "NSpid:"); found {
			ids := strings.Fields(after)
			return len(ids) > 1 && ids[len(ids)-1] == "1"
		}
	}
	return false
}

// processState is the letter ps prints, 0 when there is no such process.
func processState(pid int) byte {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	if after == "" {
		return 0
	}
	return after[0]
}

// gone is when the process has ended, whoever is to reap it.
func gone(pid int) bool {
	state := processState(pid)
	return state == 0 || state == 'Z' || state == 'X'
}

// insideNetns runs f on a thread that is in the lab's network namespace and, when a guest is given, in that guest's
// version 1 cgroups; what f starts is born there. The thread is never unlocked, so it ends with its goroutine and
// nothing else ever runs on it.
func (l *Lab) insideNetns(h hierarchies, m *Member, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			if m != nil {
				for _, point := range h.version1() {
					file := filepath.Join(l.group(point, *m), "tasks")
					if err := os.WriteFile(file, []byte(strconv.Itoa(unix.Gettid())), 0); err != nil {
						return fmt.Errorf("join cgroup: %w", err)
					}
				}
			}
			space, err := os.Open(l.netnsPath())
			if err != nil {
				return fmt.Errorf("enter network namespace: %w", err)
			}
			defer space.Close()
			if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace %s: %w", l.Netns, err)
			}
			return f()
		}()
	}()
	return <-done
}

// run runs one command to its end. What it printed becomes part of the error.
func run(ctx context.Context, command []string, stdin string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// until tries again every few milliseconds until try succeeds. On the deadline the error is the last reason.
func until(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
