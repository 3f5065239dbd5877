// Package systemtest is a machine for tests: it fails the step you name, as if power had gone at that moment, and remembers the steps
// that were taken.
package systemtest

import (
	"errors"
	"sync"

	"hafs/lib/host/system"
)

// ErrStopped is what the named step ends with.
var ErrStopped = errors.New("stopped by the test")

// Script counts steps and stops at one of them.
type Script struct {
	mu     sync.Mutex
	Steps  []string
	stopAt int // the step of this number, from 0, is not carried out, nor any after it
}

// StopAt is a machine that stops at the n-th step, from 0; a negative n never stops.
func StopAt(n int) (*Script, system.Machine) {
	s := &Script{stopAt: n}
	return s, system.Machine{Before: s.before}
}

func (s *Script) before(step string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopAt >= 0 && len(s.Steps) >= s.stopAt {
		return ErrStopped
	}
	s.Steps = append(s.Steps, step)
	return nil
}
