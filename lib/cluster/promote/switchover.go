package promote

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/replication/mirror"
)

// drainPatience bounds how long clients may take to stop, and after them the target to get the rest.
const drainPatience = 5 * time.Second

// Switchover moves the role of the file sharing server to a DRS1, without loss: clients are kept waiting, the target gets everything that was written
// until then, and only then the servers agree on the new record. It has to be asked of the file sharing server, which alone may give its role away.
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
	if !p.DryRun {
		started := time.Now()
		release, a, err := mirror.AskDrain(ctx, p.Settings.Run("mirror.sock"), name, drainPatience)
		if err != nil {
			return fmt.Errorf("stop clients: %w", err)
		}
		defer release()
		switch {
		case a.Refused != "":
			return status(repair.Refusal{Reason: a.Refused})
		case !a.OK:
			return fmt.Errorf("%s has not everything: %s: %s", name, a.Error, strings.Join(a.Lagging, "; "))
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
