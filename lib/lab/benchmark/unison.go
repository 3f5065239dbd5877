package benchmark

import (
	"context"
	"errors"
	"fmt"
)

// unison is one on the source for the first replica, and one there for the second.
type unison struct{ plain }

func (*unison) Name() string { return "unison" }

func (*unison) Settings() []string {
	return []string{"-repeat 1, as Debian has no unison-fsmonitor", "ssh with ControlMaster", "the first replica runs one for the second"}
}

func (s *unison) Start(ctx context.Context, f *Field) error {
	if err := errors.Join(f.clear(ctx), f.keep(ctx, source, first), f.keep(ctx, first, second)); err != nil {
		return err
	}
	if err := f.shAll(ctx, keepers, "rm -rf /root/.unison"); err != nil {
		return err
	}
	for _, hop := range [][2]string{{source, first}, {first, second}} {
		err := f.begin(ctx, hop[0], "unison", fmt.Sprintf("exec unison -ui text -repeat 1 -batch -auto -silent -times -owner -group -perms -1 -prefer %s %s ssh://kept-%s/%s",
			directory, directory, hop[1], directory))
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *unison) Stop(ctx context.Context, f *Field) error { return s.stop(ctx, f) }
