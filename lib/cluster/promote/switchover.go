package promote

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// drainPatience bounds how long clients may take to stop, and after them the target to get the rest.
const drainPatience = 5 * time.Second

// Switchover moves the role of the file sharing server to a DRS1, without loss: clients are kept waiting, the target gets everything that was written
// until then, and only then the servers agree on the new record. It has to be asked of the file sharing server, which alone may give its role away.
// A program of that server which has a file of the share open for writing would go on writing to a copy that nobody reads any more, so the move is
// refused while there is one; Force goes on all the same.
func (p Promoter) Switchover(ctx context.Context, name string) error {
	current, err := record.Store{Directory: p.Settings.StateDirectory}.Current()
	if err != nil {
		return err
	}
	if _, err := repair.Switchover(current, name); err != nil {
		return status(err)
	}
	if current.FS.Name != p.Settings.Name {
		return status(repair.Refusal{Reason: fmt.Sprintf("%s is not the file sharing server; run this on %s", p.Settings.Name, current.FS.Name)})
	}
	if err := p.unheld(current.FS.SharedArea); err != nil {
		return status(err)
	}
	if !p.DryRun {
		started := time.Now()
		release, err := p.Drain(ctx, name, drainPatience)
		defer release()
		if err != nil {
			return status(fmt.Errorf("stop clients: %w", err))
		}
		p.Log.Info().Str("event", "drained").Dur("took_ms", time.Since(started)).Msg("clients wait, the target has everything")
	}
	return p.carry(ctx, func(r record.Record) (record.Record, error) {
		if r.FS.Name != current.FS.Name {
			return record.Record{}, repair.Refusal{Reason: fmt.Sprintf("%s became the file sharing server meanwhile", r.FS.Name)}
		}
		return repair.Switchover(r, name)
	})
}

// namedWriters is how many programs a refusal names.
const namedWriters = 5

// unheld refuses when programs of this server can write to files of the share.
func (p Promoter) unheld(share string) error {
	found, err := p.Writers(share)
	if err != nil {
		return fmt.Errorf("who writes to the share here: %w", err)
	}
	if len(found) == 0 {
		return nil
	}
	var names []string
	for _, h := range found[:min(len(found), namedWriters)] {
		names = append(names, h.String())
	}
	if more := len(found) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	if p.Force {
		p.Log.Warn().Strs("writers", names).Msg("programs here have files of the share open for writing: what they write from now on is kept by this server alone")
		return nil
	}
	return repair.Refusal{Reason: fmt.Sprintf("programs on %s have files of the share open for writing, and what they write after the move nobody reads: %s; "+
		"end them, or go on with --force", p.Settings.Name, strings.Join(names, "; "))}
}
