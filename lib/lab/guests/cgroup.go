package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func ourHierarchies() (hierarchies, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return hierarchies{}, err
	}
	h := findHierarchies(string(text))
	if h.unified == "" && h.systemd == "" {
		return h, errors.New("no cgroup tree is mounted that systemd could use in a guest")
	}
	return h, nil
}

// group is the guest's place below a cgroup tree. All processes of the guest are in it or below it.
func (l *Lab) group(hierarchy string, m Member) string {
	return filepath.Join(hierarchy, "hafs-lab-"+l.Netns, m.Name)
}

// makeGroups makes the guest's group in every tree. Groups that exist stay as they are.
func (l *Lab) makeGroups(h hierarchies, m Member) error {
	for _, point := range h.all() {
		if err := os.MkdirAll(l.group(point, m), 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return nil
}

// removeGroups takes the lab's groups away. They have to be empty of processes; the kernel may need a moment for that.
func (l *Lab) removeGroups(ctx context.Context) error {
	h, err := ourHierarchies()
	if err != nil {
		return err
	}
	for _, point := range h.all() {
		top := filepath.Join(point, "hafs-lab-"+l.Netns)
		err := until(ctx, 5*time.Second, func() error { return removeGroup(top) })
		if err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

func removeGroup(dir string) error {
	below, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range below {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(dir)
}

// setFrozen stops every process of the guest at once, or lets all go on, and returns when that is so. Version 2 comes
// first: there, unlike in version 1, a frozen process can be killed. Without either tree the processes get a signal
// each, so they stop one after the other.
func (l *Lab) setFrozen(ctx context.Context, m Member, frozen bool) error {
	h, err := ourHierarchies()
	if err != nil {
		return err
	}
	switch {
	case exists(filepath.Join(l.group(h.unified, m), "cgroup.freeze")) && h.unified != "":
		dir := l.group(h.unified, m)
		return writeAndAwait(ctx, filepath.Join(dir, "cgroup.freeze"), map[bool]string{true: "1", false: "0"}[frozen],
			filepath.Join(dir, "cgroup.events"), fmt.Sprintf("frozen %s\n", map[bool]string{true: "1", false: "0"}[frozen]))
	case h.freezer != "":
		state := map[bool]string{true: "FROZEN", false: "THAWED"}[frozen]
		file := filepath.Join(l.group(h.freezer, m), "freezer.state")
		return writeAndAwait(ctx, file, state, file, state+"\n")
	default:
		signal := map[bool]unix.Signal{true: unix.SIGSTOP, false: unix.SIGCONT}[frozen]
		return signalNamespace(l.Leader(m), signal)
	}
}

// strike ends all processes of the guest at one moment, as a power failure does. A kernel that cannot do that freezes them first.
func (l *Lab) strike(ctx context.Context, m Member) error {
	h, err := ourHierarchies()
	if err != nil {
		return err
	}
	if file := filepath.Join(l.group(h.unified, m), "cgroup.kill"); h.unified != "" && exists(file) {
		return os.WriteFile(file, []byte("1"), 0)
	}
	return l.setFrozen(ctx, m, true)
}

// isFrozen says what the kernel says, however the guest was frozen.
func (l *Lab) isFrozen(m Member) bool {
	h, err := ourHierarchies()
	if err != nil {
		return false
	}
	if h.unified != "" {
		text, err := os.ReadFile(filepath.Join(l.group(h.unified, m), "cgroup.freeze"))
		if err == nil && strings.TrimSpace(string(text)) == "1" {
			return true
		}
	}
	if h.freezer != "" {
		text, err := os.ReadFile(filepath.Join(l.group(h.freezer, m), "freezer.state"))
		if err == nil && !strings.HasPrefix(string(text), "THAWED") {
			return true
		}
	}
	leader := l.Leader(m)
	return leader != 0 && processState(leader) == 'T'
}

func writeAndAwait(ctx context.Context, file, text, answer, expect string) error {
	if err := os.WriteFile(file, []byte(text), 0); err != nil {
		return err
	}
	return until(ctx, 5*time.Second, func() error {
		got, err := os.ReadFile(answer)
		if err != nil {
			return err
		}
		if !strings.Contains(string(got), expect) {
			return fmt.Errorf("%s still reads %q", answer, got)
		}
		return nil
	})
}

// signalNamespace signals every process in the pid namespace of the leader, over and over until no new one turns up.
func signalNamespace(leader int, signal unix.Signal) error {
	if leader == 0 {
		return errDown
	}
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", leader))
	if err != nil {
		return err
	}
	sent := map[int]bool{}
	for {
		before := len(sent)
		for _, pid := range processes() {
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && link == space && !sent[pid] {
				if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("signal %d: %w", pid, err)
				}
				sent[pid] = true
			}
		}
		if len(sent) == before {
			return nil
		}
	}
}

func processes() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
