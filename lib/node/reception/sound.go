package reception

import (
	"fmt"
	"sync"
	"time"

	"hafs/lib/host/disk"
	"hafs/lib/host/problem"
)

// soundness knows whether the share's file system takes changes, from the errors of clients' requests. hafs-linkcheck has a look of its own, but may see other
// mounts, and sees a moment later.
type soundness struct {
	directory string
	unfit     func(error) // tells hafs-linkcheck, which gives the role up; nil: it takes changes again

	mu      sync.Mutex
	watched bool
}

// failed says of an error of a request whether the share as a whole has it. Then the client is not told: its session ends, and it asks the server that takes
// over. Where none can, it waits, as it does when nobody serves.
func (s *soundness) failed(err error) error {
	if !disk.Grave(err) {
		return nil
	}
	if err := disk.Try(s.directory); disk.Grave(err) {
		err = problem.As(disk.Problem(err), fmt.Errorf("%s takes no changes: %w", s.directory, err))
		s.watch(err)
		return err
	}
	return nil
}

// soundEvery is how often a file system that takes no changes is tried again.
const soundEvery = time.Second

// watch tells that the file system takes no changes until it does.
func (s *soundness) watch(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched {
		return
	}
	s.watched = true
	s.unfit(err)
	go func() {
		for disk.Grave(disk.Try(s.directory)) {
			time.Sleep(soundEvery)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watched = false
		s.unfit(nil)
	}()
}
