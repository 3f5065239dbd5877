package link

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

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

// Whoever asks over a link that is taken down meanwhile, as after a change of roles, is told so, and asks in another way: the peer has not failed.
func TestALinkThatIsNotKept(t *testing.T) {
	ours, theirs := net.Pipe()
	ctx, unwanted := context.WithCancel(t.Context())
	p := newPeer("w", func(context.Context) (io.ReadWriteCloser, error) { return ours, nil }, time.Minute, 0)
	p.question, p.answered, p.changed = func() Request { return Request{Kind: Beat} }, func(string, Request, time.Time, Facts) {}, func(string, Verdict, Verdict) {}
	go p.run(ctx)
	if _, err := theirs.Read(make([]byte, 1)); err != nil { // the first heartbeat: it is there
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, theirs) }() // it never answers
	c := p.current()
	asked := make(chan error, 1)
	go func() {
		_, err := c.call(t.Context(), Request{Kind: Inquire})
		asked <- err
	}()
	unwanted()
	if err := <-asked; !errors.Is(err, errUnwanted) {
		t.Errorf("got %v", err)
	}
}
