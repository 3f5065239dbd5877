package system

import (
	"context"
	"fmt"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Units speaks to systemd over its private bus.
type Units struct {
	machine Machine
	bus     *dbus.Conn
}

// Units connects to systemd; Close ends the connection.
func (m Machine) Units(ctx context.Context) (Units, error) {
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return Units{}, fmt.Errorf("connect to systemd: %w", err)
	}
	return Units{machine: m, bus: bus}, nil
}

// Close ends the connection.
func (u Units) Close() { u.bus.Close() }

// Start starts a unit and waits for it. One that runs already is left as it is.
func (u Units) Start(ctx context.Context, step, unit string) error {
	return u.job(ctx, step, unit, u.bus.StartUnitContext)
}

// Restart stops a unit if it runs and starts it anew.
func (u Units) Restart(ctx context.Context, step, unit string) error {
	return u.job(ctx, step, unit, u.bus.RestartUnitContext)
}

// Stop stops a unit and waits until it has ended.
func (u Units) Stop(ctx context.Context, step, unit string) error {
	return u.job(ctx, step, unit, u.bus.StopUnitContext)
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
			return fmt.Errorf("%s: %w", unit, ctx.Err())
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
