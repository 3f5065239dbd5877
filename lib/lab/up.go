package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Up makes the lab whole: it makes what is missing, starts who is down, and leaves alone what runs, cuts and frozen
// guests included. It returns when every guest that is reachable greets. tree is a packed Debian tree; "" stands for
// the newest in the lab's folder.
func (l *Lab) Up(ctx context.Context, tree string) error {
	unix.Umask(0o022) // a guest whose root folder others cannot enter does not boot
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	err = l.build(ctx, tree)
	unlock()
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	return l.awaitAll(ctx)
}

func (l *Lab) build(ctx context.Context, packed string) error {
	if exists(l.netnsPath()) && !exists(l.TablePath()) {
		return fmt.Errorf("network namespace %s is somebody else's: take down the lab it belongs to, or name another", l.Netns)
	}
	if err := l.makeKey(); err != nil {
		return err
	}
	tree, err := l.chooseTree(ctx, packed)
	if err != nil {
		return err
	}
	if err := l.saveTable(); err != nil {
		return err
	}
	if err := l.raiseInstances(); err != nil {
		return err
	}
	if err := l.makeNetwork(ctx); err != nil {
		return err
	}
	for _, m := range Members() {
		if err := l.mount(m, tree); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if err := l.saveAccess(); err != nil {
		return err
	}
	for _, m := range Members() {
		if err := l.launch(ctx, m); err != nil {
			return err
		}
	}
	return l.saveTable()
}

// chooseTree unpacks a tree only when a guest is still to be made.
func (l *Lab) chooseTree(ctx context.Context, packed string) (string, error) {
	needed := false
	for _, m := range Members() {
		needed = needed || !exists(l.lower(m))
	}
	if !needed {
		return "", nil
	}
	if packed == "" {
		var err error
		if packed, err = l.newestTree(); err != nil {
			return "", err
		}
	}
	return l.unpack(ctx, packed)
}

func (l *Lab) makeKey() error {
	if exists(l.KeyPath()) && exists(l.KeyPath()+".pub") {
		return nil
	}
	key, err := newKey("hafs-lab")
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.KeyPath(), []byte(key.private), 0o600); err != nil {
		return err
	}
	return os.WriteFile(l.KeyPath()+".pub", []byte(key.public), 0o644)
}

// saveAccess writes known_hosts and ssh_config.
func (l *Lab) saveAccess() error {
	var known strings.Builder
	for _, m := range Members() {
		public, err := os.ReadFile(filepath.Join(l.upper(m), "etc/ssh/ssh_host_ed25519_key.pub"))
		if err != nil {
			return err
		}
		known.WriteString(knownHost(m, string(public)))
	}
	if err := os.WriteFile(l.KnownHostsPath(), []byte(known.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(l.SSHConfigPath(), []byte(sshConfig(l.KeyPath(), l.KnownHostsPath())), 0o644)
}

// awaitAll waits for all guests at the same time; frozen and cut ones are not waited for.
func (l *Lab) awaitAll(ctx context.Context) error {
	cuts, err := l.cuts()
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	problems := make([]error, len(Members()))
	for i, m := range Members() {
		if l.isFrozen(m) || unreachable(cuts, m) {
			l.Log.Warn().Str("guest", m.Name).Msg("frozen or cut off, so not waited for")
			continue
		}
		group.Go(func() {
			problems[i] = l.awaitSSH(ctx, m, bootLimit)
			if problems[i] == nil {
				l.Log.Info().Str("guest", m.Name).Str("address", m.Address).Msg("answers")
			}
		})
	}
	group.Wait()
	return errors.Join(problems...)
}

func unreachable(cuts []Cut, m Member) bool {
	for _, c := range cuts {
		if c.From == m.Name && c.To == "" {
			return true
		}
	}
	return false
}

const (
	instancesFile = "/proc/sys/fs/inotify/max_user_instances"
	instances     = 1024 // nine guests need some 7 each, and root's share is one for the whole machine
)

// raiseInstances raises the machine's limit of inotify instances, and notes what it was.
func (l *Lab) raiseInstances() error {
	text, err := os.ReadFile(instancesFile)
	if err != nil {
		return err
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || now >= instances {
		return err
	}
	l.Log.Info().Int("was", now).Int("is", instances).Msg("raise fs.inotify.max_user_instances")
	if err := os.WriteFile(l.instancesPath(), text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(instancesFile, []byte(strconv.Itoa(instances)), 0)
}

func (l *Lab) restoreInstances() error {
	text, err := os.ReadFile(l.instancesPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.WriteFile(instancesFile, text, 0); err != nil {
		return err
	}
	return os.Remove(l.instancesPath())
}
