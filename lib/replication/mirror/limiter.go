package mirror

import "sync"

// limiter runs functions side by side, at most so many at once. Through sshfs every call is a round trip; this is what hides it.
// A function may call run itself: when all places are taken, it is simply run in place.
type limiter struct {
	places chan struct{}
	wg     sync.WaitGroup
}

func newLimiter(workers int) *limiter {
	return &limiter{places: make(chan struct{}, max(workers-1, 0))}
}

func (l *limiter) run(f func()) {
	select {
	case l.places <- struct{}{}:
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			f()
			<-l.places
		}()
	default:
		f()
	}
}

func (l *limiter) wait() { l.wg.Wait() }
