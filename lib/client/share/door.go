package share

import (
	"context"
	"sync"
)

// Door lets changes of all sessions in, until it is closed for a planned move: then nobody is told yes any more, and what was let in
// is finished first. Clients wait; whoever takes over answers them.
type Door struct {
	mu     sync.Mutex
	closed bool
	inside int
	moved  chan struct{} // closed at the next change of the two
}

// wait is the signal of the next change; with d.mu held.
func (d *Door) wait() <-chan struct{} {
	if d.moved == nil {
		d.moved = make(chan struct{})
	}
	return d.moved
}

// signal tells whoever waits; with d.mu held.
func (d *Door) signal() {
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
}

// until waits for something that the two say; it returns with d.mu held unless there is an error.
func (d *Door) until(ctx context.Context, so func() bool) error {
	d.mu.Lock()
	for !so() {
		moved := d.wait()
		d.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		d.mu.Lock()
	}
	return nil
}

func (d *Door) enter(ctx context.Context) error {
	if err := d.until(ctx, func() bool { return !d.closed }); err != nil {
		return err
	}
	d.inside++
	d.mu.Unlock()
	return nil
}

func (d *Door) leave(count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside -= count
	d.signal()
}

// Close lets nobody in any more and waits until all who are inside have left.
func (d *Door) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	if err := d.until(ctx, func() bool { return d.inside == 0 }); err != nil {
		return err
	}
	d.mu.Unlock()
	return nil
}

// Open lets everybody in again.
func (d *Door) Open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
	d.signal()
}
