package benchmark

import (
	"context"
	"errors"
	"fmt"
)

// lsyncd is one Lsyncd on the source and one on the first replica, with renames and deletions by ssh.
type lsyncd struct{ plain }

func (*lsyncd) Name() string { return "lsyncd" }

func (*lsyncd) Settings() []string {
	return []string{"default.rsyncssh", "delay 0", "ssh with ControlMaster", "the first replica runs one for the second"}
}

const lsyncdConfig = `settings { nodaemon = true, insist = true, maxProcesses = 1 }
sync {
  default.rsyncssh, source = %q, host = "kept-%s", targetdir = %q, delay = 0,
  rsync = { archive = true, whole_file = false, inplace = false },
}
`

func (s *lsyncd) Start(ctx context.Context, f *Field) error {
	if err := errors.Join(f.clear(ctx), f.keep(ctx, source, first), f.keep(ctx, first, second)); err != nil {
		return err
	}
	for _, hop := range [][2]string{{source, first}, {first, second}} {
		err := f.put(ctx, hop[0], "/etc/bench-lsyncd.lua", "644", fmt.Sprintf(lsyncdConfig, directory, hop[1], directory))
		if err == nil {
			err = f.begin(ctx, hop[0], "lsyncd", "exec lsyncd /etc/bench-lsyncd.lua")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *lsyncd) Stop(ctx context.Context, f *Field) error { return s.stop(ctx, f) }
