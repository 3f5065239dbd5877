package benchmark

import (
	"context"
	"errors"
	"fmt"
)

// rsync is run once after each change, and again from the first replica to the second.
type rsync struct {
	plain
	kept bool // over connections that are kept, changing files in place
}

func (s *rsync) Name() string {
	if s.kept {
		return "rsync-kept"
	}
	return Baseline
}

func (s *rsync) command() (program, to, next string) {
	if s.kept {
		return "rsync -a --delete --inplace --no-whole-file", "kept-" + first, "kept-" + second
	}
	return "rsync -a --delete", first, second
}

func (s *rsync) Settings() []string {
	program, _, _ := s.command()
	if s.kept {
		return []string{program, "ssh with ControlMaster", "once after each change, then from the first replica to the second"}
	}
	return []string{program, "ssh with its defaults", "once after each change, then from the first replica to the second"}
}

const thenProgram = onGuest + "/then"

func (s *rsync) Start(ctx context.Context, f *Field) error {
	program, to, next := s.command()
	script := fmt.Sprintf("#!/bin/sh -e\n%s %s/ %s:%s/\nssh %s '%s %s/ %s:%s/'\n", program, directory, to, directory, to, program, directory, next, directory)
	err := errors.Join(f.clear(ctx), f.put(ctx, source, thenProgram, "755", script))
	if err == nil && s.kept {
		err = errors.Join(f.keep(ctx, source, first), f.keep(ctx, first, second))
	}
	return err
}

func (s *rsync) Then() string { return thenProgram }

func (s *rsync) Stop(ctx context.Context, f *Field) error {
	return errors.Join(f.unmount(ctx, client), s.stop(ctx, f))
}

// Mount is a plain sshfs: what HAFS's client adds something to.
func (s *rsync) Mount(ctx context.Context, f *Field) (Place, error) { return f.sshfs(ctx, source) }
