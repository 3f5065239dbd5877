package mirror

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// parting is a replica whose parts end as the test says.
type parting struct {
	gradual
	parts chan error
	last  chan bool // after a part without an error: whether it was the last
}

func (p parting) Part(_ context.Context, c *Comparison) error {
	err := <-p.parts
	if err == nil {
		c.Done = <-p.last
	}
	return err
}

// A replica that could not be reached is filled, and no longer broken, once parts go through; what was wrong is said until it is whole.
func TestAReplicaIsReachedAgain(t *testing.T) {
	m, _ := threeReplicas(t)
	p := parting{gradual{&remote{gate: make(chan struct{})}, true}, make(chan error), make(chan bool)}
	close(p.gate)
	m.Transport = func(Wanted) Transport { return p }
	m.Keep(2, []Wanted{{Name: "D"}})
	expect := func(state State, reason string) {
		t.Helper()
		eventually(t, func() error {
			if s := m.Status().Replicas[0]; s.State != state || s.Error != reason {
				return fmt.Errorf("not %s: %+v", state, s)
			}
			return nil
		})
	}
	expect(Filling, "")
	p.parts <- errors.New("no route")
	expect(Broken, "no route")
	p.parts <- nil
	p.last <- false
	expect(Filling, "no route")
	p.parts <- nil
	p.last <- true
	expect(Complete, "")
}
