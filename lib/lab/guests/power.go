package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of waiting for a guest.
const (
	leaderLimit = 10 * time.Second // until its init runs
	bootLimit   = 60 * time.Second // until it takes a login
	stopLimit   = 20 * time.Second // until it has shut itself down
	killLimit   = 5 * time.Second  // until the kernel has cleared it away
)

// Start starts guests that are down, with the disks they had, and returns when they take a login. It repairs nothing else.
func (l *Lab) Start(ctx context.Context, members ...Member) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	for _, m := range members {
		if err = l.launch(ctx, m); err != nil {
			break
		}
	}
	unlock()
	if err != nil {
		return err
	}
	return l.AwaitLogins(ctx, members, bootLimit)
}

// launch starts the guest's init and returns when it runs. Starting a guest that runs is fine.
func (l *Lab) launch(ctx context.Context, m Member) error {
	if l.Leader(m) != 0 {
		return nil
	}
	if _, err := os.Readlink(l.lower(m)); err != nil {
		return fmt.Errorf("start %s: %w (the lab is not up)", m.Name, err)
	}
	l.Log.Info().Str("guest", m.Name).Msg("start")
	if err := l.clear(ctx, m); err != nil {
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	if err := l.mount(m, ""); err != nil {
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	if err := l.spawn(m); err != nil {
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	err := until(ctx, leaderLimit, func() error {
		if l.Leader(m) == 0 {
			return errDown
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("start %s: %w (see %s)", m.Name, err, l.ConsolePath(m))
	}
	return l.saveTable()
}

// spawn starts systemd-nspawn in its cgroups and the namespace, cut off from this program: it outlives it.
func (l *Lab) spawn(m Member) error {
	h, err := ourHierarchies()
	if err != nil {
		return err
	}
	if err := l.makeGroups(h, m); err != nil {
		return err
	}
	console, err := os.Create(l.ConsolePath(m))
	if err != nil {
		return err
	}
	defer console.Close()
	command := nspawnCommand(m, l.Root(m), bridge(l.Netns))
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", console, console
	cmd.Env = []string{guestPath}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeGroup, err := l.joinUnified(h, m, cmd)
	if err != nil {
		return err
	}
	defer closeGroup()
	if err := l.insideNetns(h, &m, cmd.Start); err != nil {
		return err
	}
	go cmd.Wait()
	return os.WriteFile(l.pidPath(m), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644)
}

// joinUnified lets the command be born in the guest's version 2 group.
func (l *Lab) joinUnified(h hierarchies, m Member, cmd *exec.Cmd) (func(), error) {
	if h.unified == "" {
		return func() {}, nil
	}
	group, err := os.Open(l.group(h.unified, m))
	if err != nil {
		return nil, err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	return func() { group.Close() }, nil
}

// Stop shuts the guest down cleanly.
func (l *Lab) Stop(ctx context.Context, m Member) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	leader, supervisor := l.Leader(m), l.supervisor(m)
	if leader == 0 {
		return nil
	}
	l.Log.Info().Str("guest", m.Name).Msg("stop")
	if l.isFrozen(m) {
		return fmt.Errorf("stop %s: it is frozen; thaw or kill it", m.Name)
	}
	const powerOff = 34 + 4 // SIGRTMIN+4 starts poweroff.target, see systemd(1)
	if err := unix.Kill(leader, powerOff); err != nil {
		return fmt.Errorf("stop %s: %w", m.Name, err)
	}
	if err := awaitEnd(ctx, stopLimit, leader, supervisor); err != nil {
		return fmt.Errorf("stop %s: %w", m.Name, err)
	}
	return l.saveTable()
}

// Kill takes the guest's power away: everything in it stops at once, the cable goes silent, then all is killed. Killing
// alone would let the kernel close the guest's connections towards its peers, which a machine without power does not do.
func (l *Lab) Kill(ctx context.Context, m Member) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return l.kill(ctx, m)
}

func (l *Lab) kill(ctx context.Context, m Member) error {
	l.Log.Info().Str("guest", m.Name).Msg("kill")
	if l.Leader(m) != 0 {
		if err := l.strike(ctx, m); err != nil {
			l.Log.Warn().Err(err).Str("guest", m.Name).Msg("its processes do not end at one moment")
		}
	}
	if err := l.clear(ctx, m); err != nil {
		return fmt.Errorf("kill %s: %w", m.Name, err)
	}
	// A group that was struck kills whoever is born into it later, on some kernels (seen on 6.18); the next start makes a new one.
	if h, err := ourHierarchies(); err == nil && h.unified != "" {
		if err := until(ctx, killLimit, func() error { return removeGroup(l.group(h.unified, m)) }); err != nil {
			return fmt.Errorf("kill %s: remove its cgroup: %w", m.Name, err)
		}
	}
	return l.saveTable()
}

// clear takes away what is left of a guest's processes and its cable, and leaves its cgroup thawed.
func (l *Lab) clear(ctx context.Context, m Member) error {
	if err := l.removeCable(ctx, m); err != nil {
		return err
	}
	leader, supervisor := l.Leader(m), l.supervisor(m)
	if leader != 0 {
		if err := sendKill(leader); err != nil {
			return err
		}
		// Whoever can be killed while frozen shall die frozen. Where that is not possible, thawing has to come first.
		_ = awaitEnd(ctx, killLimit/10, leader)
	}
	if h, err := ourHierarchies(); err == nil && exists(l.group(h.all()[0], m)) {
		if err := l.setFrozen(ctx, m, false); err != nil && !errors.Is(err, errDown) {
			return err
		}
	}
	// Left alone, systemd-nspawn notices, tidies up and ends.
	if err := awaitEnd(ctx, killLimit/5, leader, supervisor); err != nil {
		if err := sendKill(supervisor); err != nil {
			return err
		}
		if err := awaitEnd(ctx, killLimit, leader, supervisor); err != nil {
			return err
		}
	}
	for _, litter := range []string{l.pidPath(m), filepath.Join(propagate, m.Name)} {
		if err := os.Remove(litter); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// propagate holds a folder for each guest, which systemd-nspawn makes, and fails to remove where /run is on a disk.
const propagate = "/run/systemd/nspawn/propagate"

func sendKill(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return nil
}

// awaitEnd waits for processes to end; 0 stands for none.
func awaitEnd(ctx context.Context, limit time.Duration, pids ...int) error {
	return until(ctx, limit, func() error {
		for _, pid := range pids {
			if pid != 0 && !gone(pid) {
				return fmt.Errorf("process %d still runs", pid)
			}
		}
		return nil
	})
}

// Freeze stops every process of the guest at once, as a hung machine does; its kernel still answers pings.
func (l *Lab) Freeze(ctx context.Context, m Member) error { return l.freezeOrThaw(ctx, m, true) }

// Thaw lets a frozen guest go on.
func (l *Lab) Thaw(ctx context.Context, m Member) error { return l.freezeOrThaw(ctx, m, false) }

func (l *Lab) freezeOrThaw(ctx context.Context, m Member, frozen bool) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	word := map[bool]string{true: "freeze", false: "thaw"}[frozen]
	if l.Leader(m) == 0 {
		return fmt.Errorf("%s %s: %w", word, m.Name, errDown)
	}
	l.Log.Info().Str("guest", m.Name).Msg(word)
	if err := l.setFrozen(ctx, m, frozen); err != nil {
		return fmt.Errorf("%s %s: %w", word, m.Name, err)
	}
	return nil
}
