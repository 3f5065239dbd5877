package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Up makes the lab whole: it makes what is missing, starts who is down, and leaves alone what runs, cuts and frozen
// guests included. It returns when every guest that is reachable takes a login. tree is a packed Debian tree; "" stands for
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
	err = l.raise(ctx, tree)
	unlock()
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	return l.AwaitLogins(ctx, Members(), bootLimit)
}

func (l *Lab) raise(ctx context.Context, packed string) error {
	f, err := l.facts()
	if err != nil {
		return err
	}
	if f.Netns && !f.Table {
		return fmt.Errorf("network namespace %s is somebody else's: take down the lab it belongs to, or name another", l.Netns)
	}
	tree := ""
	for _, step := range planUp(f) {
		if step.Do != doStart { // launch says so itself
			l.Log.Info().Msg(step.String())
		}
		switch step.Do {
		case doKey:
			err = l.makeKey()
		case doTable:
			err = l.saveTable()
		case doInstances:
			err = l.raiseInstances(f.Instances)
		case doNetwork:
			err = l.makeNetwork(ctx)
		case doTree:
			tree, err = l.unpack(ctx, packed)
		case doMake:
			err = l.mount(step.Guest, tree)
		case doStart:
			err = l.launch(ctx, step.Guest)
		default:
			err = fmt.Errorf("no way to do it")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	if err := l.saveAccess(); err != nil {
		return err
	}
	return l.saveTable()
}

// PlanUp is what Up would do, a line each.
func (l *Lab) PlanUp() ([]Step, error) {
	f, err := l.facts()
	return planUp(f), err
}

// facts looks at the machine.
func (l *Lab) facts() (facts, error) {
	text, err := os.ReadFile(instancesFile)
	if err != nil {
		return facts{}, err
	}
	f := facts{
		Key:   exists(l.KeyPath()) && exists(l.KeyPath()+".pub"),
		Table: exists(l.TablePath()),
		Netns: exists(l.netnsPath()),
		Made:  map[string]bool{}, Running: map[string]bool{}, Supervised: map[string]bool{},
		Raised: exists(instancesBefore) && !l.othersAreUp(),
	}
	if f.Instances, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return facts{}, err
	}
	for _, m := range Members() {
		f.Made[m.Name] = exists(l.lower(m)) && exists(filepath.Join(l.upper(m), hostPublicKey))
		f.Running[m.Name] = l.Leader(m) != 0
		f.Supervised[m.Name] = l.supervisor(m) != 0
	}
	return f, nil
}

func (l *Lab) makeKey() error {
	key, err := newKey("hafs-lab")
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.KeyPath(), []byte(key.private), 0o600); err != nil {
		return err
	}
	return os.WriteFile(l.KeyPath()+".pub", []byte(key.public), 0o644)
}

// saveAccess writes known_hosts, ssh_config and a program that is ssh inside the lab's network namespace, for Ansible.
func (l *Lab) saveAccess() error {
	var known strings.Builder
	for _, m := range Members() {
		public, err := os.ReadFile(filepath.Join(l.upper(m), hostPublicKey))
		if err != nil {
			return err
		}
		known.WriteString(knownHost(m, string(public)))
	}
	if err := os.WriteFile(l.KnownHostsPath(), []byte(known.String()), 0o644); err != nil {
		return err
	}
	program := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=%s ssh \"$@\"\n", l.netnsPath())
	if err := os.WriteFile(l.SSHProgramPath(), []byte(program), 0o755); err != nil {
		return err
	}
	return os.WriteFile(l.SSHConfigPath(), []byte(sshConfig(l.KeyPath(), l.KnownHostsPath())), 0o644)
}

const (
	instancesFile = "/proc/sys/fs/inotify/max_user_instances"
	// instancesBefore holds the limit as it was before the first lab. It is the machine's, as the limit is: the lab that is taken down last
	// restores it, not the one that raised it, under which others would stop watching.
	instancesBefore = "/run/hafs-lab-inotify-instances"
)

// othersAreUp is whether there may be another lab on this machine: one that has a network namespace.
func (l *Lab) othersAreUp() bool {
	found, _ := os.ReadDir(filepath.Dir(l.netnsPath()))
	return slices.ContainsFunc(found, func(e fs.DirEntry) bool { return e.Name() != l.Netns })
}

// raiseInstances raises the machine's limit of inotify instances, and notes what it was.
func (l *Lab) raiseInstances(now int) error {
	if !exists(instancesBefore) {
		if err := os.WriteFile(instancesBefore, []byte(strconv.Itoa(now)+"\n"), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(instancesFile, []byte(strconv.Itoa(instances)), 0)
}

func (l *Lab) restoreInstances() error {
	text, err := os.ReadFile(instancesBefore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.WriteFile(instancesFile, text, 0); err != nil {
		return err
	}
	return os.Remove(instancesBefore)
}
