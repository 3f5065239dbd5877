package stream

import "time"

const (
	// busyEvery is how often a receiver that carries out a batch says so: whoever waits for the result must be able to tell a long write from a replica that
	// hangs.
	busyEvery = 500 * time.Millisecond
	// busyFor is how long after the last thing that was done it still says so. One call of the kernel, such as a sync of much, may take that long; a disk
	// that takes longer is as good as frozen, and the canary of hafs-linkcheck says so too.
	busyFor = 8 * time.Second
)

// moves notes that something was dealt with.
func (b *carrying) moves() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moved = time.Now()
}

// busy tells the sender, until stop is called, that the batch is being carried out.
func (b *carrying) busy() (stop func()) {
	if b.hello.Version < 4 {
		return func() {}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(busyEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			b.mu.Lock()
			moves := time.Since(b.moved) < busyFor
			b.mu.Unlock()
			if moves && b.reply(kindBusy) != nil {
				return
			}
		}
	}()
	return func() { close(ended); <-done }
}
