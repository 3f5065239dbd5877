package experiment

import (
	"context"
	"fmt"
	"time"

	"hafs/lib/lab/shape"
)

// Moved is what a client saw of a planned move of the file sharing server's role.
type Moved struct {
	From string  `json:"from"`
	To   string  `json:"to"`
	Took float64 `json:"took_s"` // hafs-promote switchover
	Seen
}

// Move moves the role to a DRS1 while a client works, and judges what the client saw. After an error it may have moved nevertheless.
func (b *Bench) Move(ctx context.Context, to string) (Moved, error) {
	before, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, moveLimit)
	if err != nil {
		return Moved{}, fmt.Errorf("before the move: %w", err)
	}
	m := Moved{From: before.FS.Name, To: to}
	c, err := b.startClient(ctx, b.Client)
	if err != nil {
		return m, err
	}
	defer c.stop()
	if err := pause(ctx, warmUp); err != nil {
		return m, err
	}
	started := time.Now()
	if err := b.run(ctx, m.From, "hafs-promote", "switchover", to); err != nil {
		return m, err
	}
	m.Took = time.Since(started).Seconds()
	if _, err := b.Await(ctx, shape.Shape{FS: to, Failed: []string{}}, true, moveLimit); err != nil {
		return m, fmt.Errorf("after the move: %w", err)
	}
	if err := pause(ctx, coolDown); err != nil {
		return m, err
	}
	m.Seen, err = b.seen(ctx, c, to)
	return m, err
}
