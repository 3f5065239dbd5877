package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/shape"
)

// Torture is one failure after the other, each while a client works, and the return of whoever failed.
type Torture struct {
	For      time.Duration
	Seed     uint64      // chooses what fails, and how
	Progress func(Round) // after each failure and return
}

// Round is one of them.
type Round struct {
	Run
	Returned float64 `json:"returned_s"`      // from when it was mended until all were whole
	Wrong    string  `json:"wrong,omitempty"` // what hafs-status still calls wrong when all has been whole for wellLimit
}

// wellLimit is how long hafs-status may call something wrong after all is whole again.
const wellLimit = 5 * time.Second

// Err is nil if a round went as it should.
func (r Round) Err() error {
	switch {
	case r.ClientFailedOps > 0:
		return fmt.Errorf("%d operations of the client failed", r.ClientFailedOps)
	case r.LostFiles+r.LostAcknowledged > 0:
		return fmt.Errorf("%d acknowledged files were lost", r.LostFiles+r.LostAcknowledged)
	case r.Wrong != "":
		return fmt.Errorf("hafs-status calls something wrong %s after all is whole: %s", wellLimit, r.Wrong)
	}
	return nil
}

// Torture goes on until the time is over or a round does not go as it should.
func (b *Bench) Torture(ctx context.Context, t Torture) error {
	rnd := rand.New(rand.NewPCG(t.Seed, 1))
	for end := time.Now().Add(t.For); time.Now().Before(end); {
		r, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, moveLimit)
		if err != nil {
			return err
		}
		how, victim := b.choose(rnd, r)
		round, err := b.round(ctx, how, victim)
		if err == nil {
			err = round.Err()
		}
		if err != nil {
			return fmt.Errorf("%s of %s (%s): %w", how, victim, r.Role(victim), err)
		}
		t.Progress(round)
	}
	return nil
}

// choose chooses what fails next. The file sharing server does every third time.
func (b *Bench) choose(rnd *rand.Rand, r record.Record) (How, string) {
	how := []How{Kill, Freeze, Cut, Hang}[rnd.IntN(4)]
	others := slices.DeleteFunc(slices.Concat(r.DRS1s(), r.WithStatus(record.Spare)), func(name string) bool { return name == b.Client || name == record.Trouble })
	for _, p := range r.Pairs {
		if p.DRS2 != record.Trouble && p.DRS2 != b.Client {
			others = append(others, p.DRS2)
		}
	}
	if rnd.IntN(3) == 0 && r.FS.Name != b.Client {
		return how, r.FS.Name
	}
	return how, others[rnd.IntN(len(others))]
}

func (b *Bench) round(ctx context.Context, how How, victim string) (Round, error) {
	run, err := b.Trial(ctx, how, Second{}, victim)
	if err != nil {
		return Round{Run: run}, err
	}
	mended := time.Now()
	if err := b.mend(ctx); err != nil {
		return Round{Run: run}, err
	}
	if how == Hang { // systemd would end and start them after a minute
		if err := b.run(ctx, victim, append([]string{"systemctl", "kill", "--kill-whom=main", "--signal=CONT"}, Toolkit...)...); err != nil {
			return Round{Run: run}, err
		}
	}
	r, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, returnLimit)
	round := Round{Run: run, Returned: time.Since(mended).Seconds()}
	if err != nil {
		return round, fmt.Errorf("wait until it is taken back: %w", err)
	}
	for deadline := time.Now().Add(wellLimit); ; {
		err := b.run(ctx, r.FS.Name, "hafs-status")
		if err == nil {
			return round, nil
		}
		if time.Now().After(deadline) {
			round.Wrong = err.Error()
			return round, nil
		}
		if err := pause(ctx, 4*lookPause); err != nil {
			return round, err
		}
	}
}
