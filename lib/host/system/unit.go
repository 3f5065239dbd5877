package system

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"
)

// Units speaks to systemd over its private bus.
type Units struct {
	machine Machine
	bus     *dbus.Conn
	end     context.CancelFunc
}

// busPatience is how long systemd may take to agree to a connection. Nothing else bounds that: the context is the connection's.
const busPatience = 5 * time.Second

// Units connects to systemd; Close ends the connection, and so does the end of the context.
func (m Machine) Units(ctx context.Context) (Units, error) {
	lasting, end := context.WithCancel(ctx)
	patience := time.AfterFunc(busPatience, end)
	bus, err := dbus.NewSystemdConnectionContext(lasting)
	if patience.Stop(); err != nil {
		if lasting.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer in %s", busPatience)
		}
		end()
		return Units{}, fmt.Errorf("connect to systemd: %w", err)
	}
	return Units{machine: m, bus: bus, end: end}, nil
}

// Close ends the connection.
func (u Units) Close() {
	u.bus.Close()
	u.end()
}

// Start starts a unit and waits for it. One that runs already is left as it is.
func (u Units) Start(ctx context.Context, step, unit string) error {
	return u.job(ctx, step, unit, u.bus.StartUnitContext)
}

// Restart stops a unit if it runs and starts it anew.
func (u Units) Restart(ctx context.Context, step, unit string) error {
	return u.job(ctx, step, unit, u.bus.RestartUnitContext)
}

// Stop stops a unit and waits until it has ended. How it ended does not matter then: systemd would call one failed until the next boot that it had to kill.
func (u Units) Stop(ctx context.Context, step, unit string) error {
	if err := u.job(ctx, step, unit, u.bus.StopUnitContext); err != nil {
		return err
	}
	_ = u.bus.ResetFailedUnitContext(ctx, unit) // it fails when systemd knows the unit no more, which is as good
	return nil
}

// Enqueue asks for a start and does not wait: for work that takes longer than its caller may.
func (u Units) Enqueue(ctx context.Context, step, unit string) error {
	return u.machine.do(step, func() error {
		_, err := u.bus.StartUnitContext(ctx, unit, "replace", nil)
		return err
	})
}

func (u Units) job(ctx context.Context, step, unit string, call func(context.Context, string, string, chan<- string) (int, error)) error {
	return u.machine.do(step, func() error {
		done := make(chan string, 1)
		if _, err := call(ctx, unit, "replace", done); err != nil {
			return err
		}
		select {
		case result := <-done:
			if result != "done" {
				return fmt.Errorf("%s: %s (journalctl -u %s tells why)", unit, result, unit)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", unit, context.Cause(ctx))
		}
	})
}

// Active says which of the units with the given names or patterns run or are just starting, and which are just ending: those may be started
// again by systemd itself unless somebody stops them.
func (u Units) Active(ctx context.Context, patterns ...string) (active, ending map[string]bool, err error) {
	states, err := u.bus.ListUnitsByPatternsContext(ctx, nil, patterns)
	if err != nil {
		return nil, nil, fmt.Errorf("ask systemd for units: %w", err)
	}
	active, ending = map[string]bool{}, map[string]bool{}
	for _, s := range states {
		active[s.Name] = s.ActiveState == "active" || s.ActiveState == "activating" || s.ActiveState == "reloading"
		ending[s.Name] = s.ActiveState == "deactivating"
	}
	return active, ending, nil
}

// Unit is one as systemd sees it.
type Unit struct {
	Name   string
	Active string // active, activating, deactivating, failed, inactive
	Sub    string // running, auto-restart, ...
	// Quiet is how long a service that runs has not told systemd's watchdog that it works; 0: it need not.
	Quiet time.Duration
}

// Looker looks at units again and again, and keeps its connection to systemd meanwhile.
type Looker struct {
	Machine Machine

	units   *Units
	watched map[string]bool // whether a service has a watchdog
}

// States are those of the units with the given names or patterns that systemd has loaded. One that it has not is not among them: it does not run.
func (l *Looker) States(ctx context.Context, patterns ...string) ([]Unit, error) {
	if l.units == nil {
		units, err := l.Machine.Units(context.WithoutCancel(ctx)) // the connection ends with the context it is made in
		if err != nil {
			return nil, err
		}
		l.units, l.watched = &units, map[string]bool{}
	}
	states, err := l.look(ctx, patterns)
	if err != nil { // systemd may have begun anew
		l.units.Close()
		l.units = nil
	}
	return states, err
}

func (l *Looker) look(ctx context.Context, patterns []string) ([]Unit, error) {
	listed, err := l.units.bus.ListUnitsByPatternsContext(ctx, nil, patterns)
	if err != nil {
		return nil, fmt.Errorf("ask systemd for units: %w", err)
	}
	var states []Unit
	for _, s := range listed {
		unit := Unit{Name: s.Name, Active: s.ActiveState, Sub: s.SubState}
		if s.ActiveState == "active" && strings.HasSuffix(s.Name, ".service") {
			if unit.Quiet, err = l.quiet(ctx, s.Name); err != nil {
				return nil, err
			}
		}
		states = append(states, unit)
	}
	return states, nil
}

// quiet reads systemd's time before its own: what is told between the two only makes it younger.
func (l *Looker) quiet(ctx context.Context, unit string) (time.Duration, error) {
	watched, known := l.watched[unit]
	if !known {
		patience, err := l.micros(ctx, unit, "WatchdogUSec")
		if err != nil {
			return 0, err
		}
		watched = patience > 0 && patience < math.MaxUint64 // infinity
		l.watched[unit] = watched
	}
	if !watched {
		return 0, nil
	}
	at, err := l.micros(ctx, unit, "WatchdogTimestampMonotonic")
	if err != nil || at == 0 { // it has ended meanwhile
		return 0, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, err
	}
	return max(time.Duration(now.Nano())-time.Duration(at)*time.Microsecond, 0), nil
}

func (l *Looker) micros(ctx context.Context, unit, property string) (uint64, error) {
	p, err := l.units.bus.GetUnitTypePropertyContext(ctx, unit, "Service", property)
	if err != nil {
		return 0, fmt.Errorf("ask systemd for %s of %s: %w", property, unit, err)
	}
	n, _ := p.Value.Value().(uint64)
	return n, nil
}
