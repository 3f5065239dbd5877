package guests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrFrozen is what running something on a frozen guest comes to: it would hang.
var ErrFrozen = errors.New("the guest is frozen")

// cancelLimit is how long a command that is told to end may take over it.
const cancelLimit = 2 * time.Second

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exec runs a command inside the guest, whatever its network is like, and returns its exit status. The command belongs
// to the guest: it is frozen, thawed and killed with it. An error means that it did not run to an end.
func (l *Lab) Exec(ctx context.Context, m Member, command []string, streams Streams) (int, error) {
	leader := l.Leader(m)
	if leader == 0 {
		return 0, fmt.Errorf("exec on %s: %w", m.Name, errDown)
	}
	if l.isFrozen(m) {
		return 0, fmt.Errorf("exec on %s: %w", m.Name, ErrFrozen)
	}
	h, err := ourHierarchies()
	if err != nil {
		return 0, err
	}
	enter := enterCommand(leader, command)
	cmd := exec.CommandContext(ctx, enter[0], enter[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
	// nsenter waits for the command as its child and passes no signal on, so the command gets it from here.
	cmd.Cancel = func() error { return signalChildren(cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = cancelLimit
	closeGroup, err := l.joinUnified(h, m, cmd)
	if err != nil {
		return 0, fmt.Errorf("exec on %s: %w", m.Name, err)
	}
	defer closeGroup()
	if err := l.insideNetns(h, &m, cmd.Start); err != nil {
		return 0, fmt.Errorf("exec on %s: %w", m.Name, err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("exec on %s: %w", m.Name, err)
	}
	return 0, nil
}

// Push copies a file of the machine to target on the guest, or what a folder holds into the folder target there.
func (l *Lab) Push(ctx context.Context, m Member, source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("push to %s: %w", m.Name, err)
	}
	file, command := "", []string{"install", "-D", "-m", fmt.Sprintf("%o", info.Mode().Perm()), "/dev/stdin", target}
	var from io.Reader
	if info.IsDir() {
		file, command = source, []string{"tar", "--extract", "--file", "-", "--directory", target}
		pack := exec.CommandContext(ctx, "tar", "--create", "--file", "-", "--directory", file, ".")
		if from, err = pack.StdoutPipe(); err != nil {
			return err
		}
		if status, err := l.Exec(ctx, m, []string{"mkdir", "-p", target}, Streams{Err: os.Stderr}); err != nil || status != 0 {
			return errors.Join(fmt.Errorf("push to %s: cannot make %s", m.Name, target), err)
		}
		if err := pack.Start(); err != nil {
			return err
		}
		defer pack.Wait()
	} else {
		opened, err := os.Open(source)
		if err != nil {
			return err
		}
		defer opened.Close()
		from = opened
	}
	status, err := l.Exec(ctx, m, command, Streams{In: from, Err: os.Stderr})
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("push %s to %s: exit status %d", filepath.Base(source), m.Name, status)
	}
	return nil
}

// SSH is the command that reaches the guest by ssh from anywhere on the machine.
func (l *Lab) SSH(m Member, command []string) []string {
	return sshCommand(l.netnsPath(), l.SSHConfigPath(), m.Name, command)
}
