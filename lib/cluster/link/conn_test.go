package link

import (
	"context"
	"errors"
	"net"
	"testing"

	"hafs/lib/host/problem"
)

// What a server refuses is known by its id on the other side, whatever its words are; a server of an older release gives none.
func TestAnErrorKeepsItsID(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		_ = serve(theirs, func(q Request) Reply { return Reply{Error: "M2 refuses our key", ProblemID: problem.ID(q.To)} })
	}()
	c := newCaller(ours)
	defer c.fail(errors.New("done"))
	for _, id := range []problem.ID{problem.RefusedKey, ""} {
		_, err := c.call(context.Background(), Request{To: string(id)})
		if err == nil || err.Error() != "M2 refuses our key" || problem.Of(err) != id {
			t.Errorf("%v with id %q, not %q", err, problem.Of(err), id)
		}
	}
}
