// Package promote carries a decision through: reads the record, asks package repair what should follow, and has the servers agree on it.
// hafs-promote and hafs-probe are thin commands over it.
package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/holders"
)

// Promoter acts for one server.
type Promoter struct {
	Settings config.Settings
	Links    link.Client
	Log      zerolog.Logger
	DryRun   bool // decide, print, change nothing
	Force    bool // let a replica succeed that is still being filled, or whose better one does not answer

	// Drain stops the clients of this server's share and waits until a replica has everything, each for at most so long. What comes with it
	// lets the clients go on; it is never nil. A Refusal says that this replica cannot be waited for.
	Drain func(ctx context.Context, replica string, patience time.Duration) (release func(), err error)
	// Writers are the programs of this server, other than those of HAFS, that can write to files below the share's directory.
	Writers func(directory string) ([]holders.Holder, error)
}

// New is a promoter over this server's hafs-linkcheck.
func New(s config.Settings, log zerolog.Logger, dryRun bool) Promoter {
	return Promoter{Settings: s, Links: link.Client{Socket: s.Run("link.sock")}, Log: log, DryRun: dryRun}
}

// Decision makes the next record of the current one, or says why there is none.
type Decision func(record.Record) (record.Record, error)

// MaxRounds bounds how often a decision is made anew because another one came first.
const MaxRounds = 4

// Failed decides for servers that are gone. Whoever else this server has lost is gone too: one new record then repairs all at once.
func (p Promoter) Failed(ctx context.Context, names ...string) error {
	return p.carry(ctx, func(current record.Record) (record.Record, error) {
		gone, positions := p.positions(ctx, current, func() []string { return p.alsoLost(ctx, current, names) })
		if len(positions) > 0 {
			p.Log.Info().Interface("positions", positions).Msg("how far the replicas are")
		}
		next, err := repair.Repair(current, gone, positions)
		if refusal := (repair.Refusal{}); p.Force && errors.As(err, &refusal) {
			p.Log.Warn().Str("risk", "files that this replica has not got yet are gone for good").Msg(refusal.Reason)
			return repair.Repair(current, gone, repair.Complete(current, gone, positions))
		}
		return next, err
	})
}

func (p Promoter) alsoLost(ctx context.Context, current record.Record, names []string) []string {
	view, err := p.Links.View(ctx)
	if err != nil {
		return names
	}
	return Gone(current, names, view)
}

// Gone is names and every other member that is lost in a server's view.
func Gone(current record.Record, names []string, view map[string]link.Peer) []string {
	gone := slices.Clone(names)
	for _, member := range current.Members() {
		if view[member].Verdict == link.Lost && !slices.Contains(gone, member) {
			gone = append(gone, member)
		}
	}
	return gone
}

// Admit takes a failed server back.
func (p Promoter) Admit(ctx context.Context, name string) error {
	return p.carry(ctx, func(current record.Record) (record.Record, error) { return repair.Admit(current, name) })
}

// Apply proposes a record an operator edited. Its generation must be the next one.
func (p Promoter) Apply(ctx context.Context, wanted record.Record) error {
	return p.carry(ctx, func(current record.Record) (record.Record, error) {
		if current.Digest() == wanted.Digest() {
			return record.Record{}, repair.Nothing{Reason: "this is the current generation"}
		}
		if wanted.Generation != current.Generation+1 {
			return record.Record{}, repair.Refusal{Reason: fmt.Sprintf("generation %d is not the successor of %d; write %d into all three files",
				wanted.Generation, current.Generation, current.Generation+1)}
		}
		return wanted, nil
	})
}

// carry decides and has the decision chosen. When another record was chosen first, it decides again from there.
func (p Promoter) carry(ctx context.Context, decide Decision) error {
	store := record.Store{Directory: p.Settings.StateDirectory}
	for range MaxRounds {
		current, err := store.Current()
		if err != nil {
			return err
		}
		next, err := decide(current)
		if err != nil {
			return status(err)
		}
		p.Log.Info().Str("event", "proposed").Uint64("generation", next.Generation).Strs("changes", Changes(current, next)).Bool("dry_run", p.DryRun).Msg("next generation")
		if p.DryRun {
			return nil
		}
		chosen, err := agree.Choose(ctx, p.Links, p.Settings.Name, current, next)
		if err != nil {
			return status(fmt.Errorf("choose generation %d: %w", next.Generation, p.cause(ctx, err)))
		}
		p.Log.Info().Str("event", "chosen").Uint64("generation", chosen.Generation).Strs("changes", Changes(current, chosen)).Msg("generation chosen")
		if chosen.Digest() == next.Digest() {
			return nil
		}
	}
	return fmt.Errorf("other changes came first %d times; try again", MaxRounds)
}

// cause tells servers that do not answer from a hafs-linkcheck that does not run here, through which all of them are asked.
func (p Promoter) cause(ctx context.Context, err error) error {
	if !errors.Is(err, agree.ErrNoMajority) {
		return err
	}
	if _, viewErr := p.Links.View(ctx); errors.Is(viewErr, link.ErrNotRunning) {
		return viewErr
	}
	return err
}

// status gives an error the exit status that tells scripts what kind it is.
func status(err error) error {
	var refusal repair.Refusal
	var nothing repair.Nothing
	var refused agree.Refused
	switch {
	case errors.As(err, &nothing):
		return exitcode.With(exitcode.Nothing, err)
	case errors.As(err, &refusal), errors.As(err, &refused):
		return exitcode.With(exitcode.Refused, err)
	case errors.Is(err, agree.ErrNoMajority):
		return exitcode.With(exitcode.Minority, err)
	}
	return err
}

// Changes lists in words what differs between two records.
func Changes(from, to record.Record) []string {
	var changes []string
	for _, s := range to.Servers {
		if before, after := place(from, s.Name), place(to, s.Name); before != after {
			changes = append(changes, fmt.Sprintf("%s: %s -> %s", s.Name, before, after))
		}
	}
	for i, p := range to.Pairs {
		if p.DRS1 == record.Trouble && placeOf(from, i).DRS1 != record.Trouble {
			changes = append(changes, fmt.Sprintf("pair %d: drs1 in trouble", i+1))
		}
		if p.DRS2 == record.Trouble && placeOf(from, i).DRS2 != record.Trouble {
			changes = append(changes, fmt.Sprintf("pair %d: drs2 in trouble", i+1))
		}
	}
	return changes
}

func place(r record.Record, name string) string {
	role := r.Role(name)
	if i := r.PairOf(name); i >= 0 && (role == record.RoleDRS1 || role == record.RoleDRS2) {
		return fmt.Sprintf("%s of pair %d", role, i+1)
	}
	return string(role)
}

// placeOf is a pair of a record that may have fewer.
func placeOf(r record.Record, i int) record.Pair {
	if i < len(r.Pairs) {
		return r.Pairs[i]
	}
	return record.Pair{}
}
