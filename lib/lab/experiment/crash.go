package experiment

import (
	"context"
	"fmt"
	"time"

	"hafs/lib/lab/shape"
)

// Crashed is what a client saw while a service died over and over.
type Crashed struct {
	Service string   `json:"service"`
	Guests  []string `json:"guests"`
	Times   int      `json:"times"`
	Seen
}

// Err is nil if nothing failed that should not have. When a server dies between a creation that must be exclusive and its answer, the creation is
// asked for again and fails; lib/client/relay cannot tell that it was its own. That may happen once at a time.
func (c Crashed) Err() error {
	s := c.Seen
	if s.Repeated <= c.Times {
		s.Failed -= s.Repeated
	}
	return s.Err()
}

const (
	crashRetry = 50 * time.Millisecond
	// crashPatience is how long a service that was killed may take until there is something to kill again.
	crashPatience = 10 * time.Second
)

// Crash kills the main process of a service so many times on each of the guests, one round after the other, while a client works. Roles stay as
// they are, and the service must come back every time.
func (b *Bench) Crash(ctx context.Context, service string, times int, every time.Duration, guests ...string) (Crashed, error) {
	result := Crashed{Service: service, Guests: guests, Times: times}
	before, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, moveLimit)
	if err != nil {
		return result, fmt.Errorf("before the first crash: %w", err)
	}
	c, err := b.startClient(ctx, b.Client)
	if err != nil {
		return result, err
	}
	defer c.stop()
	if err := pause(ctx, warmUp); err != nil {
		return result, err
	}
	for range times {
		next := time.Now().Add(every)
		for _, guest := range guests {
			if err := b.crash(ctx, guest, service); err != nil {
				return result, err
			}
		}
		if err := pause(ctx, time.Until(next)); err != nil {
			return result, err
		}
	}
	if _, err := b.Await(ctx, shape.Of(before), true, moveLimit); err != nil {
		return result, fmt.Errorf("after the last crash: %w", err)
	}
	if err := pause(ctx, coolDown); err != nil {
		return result, err
	}
	result.Seen, err = b.seen(ctx, c, before.FS.Name)
	return result, err
}

// crash kills a service as soon as there is a process of it.
func (b *Bench) crash(ctx context.Context, guest, service string) error {
	deadline := time.Now().Add(crashPatience)
	for {
		err := b.run(ctx, guest, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", service)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it did not come back within %s: %w", crashPatience, err)
		}
		if err := pause(ctx, crashRetry); err != nil {
			return err
		}
	}
}
