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
		_ = serve(theirs, func(q Request) Reply {
			return Reply{Error: "M2 refuses our key", ProblemID: problem.ID(q.To), ProblemPart: "/nfs"}
		})
	}()
	c := newCaller(ours)
	defer c.fail(errors.New("done"))
	for _, id := range []problem.ID{problem.RefusedKey, ""} {
		_, err := c.call(context.Background(), Request{To: string(id)})
		if err == nil || err.Error() != "M2 refuses our key" || problem.Of(err) != id {
			t.Errorf("%v with id %q, not %q", err, problem.Of(err), id)
		}
		if part := problem.PartOf(err); (part == "/nfs") != (id != "") {
			t.Errorf("%v is of part %q", err, part)
		}
	}
}

// Why a server is lost has its id, and the part, from where the words are: its last answer counts when no attempt has failed since.
func TestWhyAServerIsLost(t *testing.T) {
	said := Facts{Problem: "write to /nfs: input/output error", ProblemID: problem.Failing, ProblemPart: "/nfs"}
	for _, c := range []struct {
		peer Peer
		want problem.Problem
	}{
		{Peer{Facts: said}, problem.Problem{ID: problem.Failing, Part: "/nfs", Text: "M2 is lost: write to /nfs: input/output error"}},
		{Peer{Facts: said, Error: "M2 refuses our key", ProblemID: problem.RefusedKey}, problem.Problem{ID: problem.RefusedKey, Text: "M2 is lost: M2 refuses our key"}},
		{Peer{Facts: said, Error: "no route to host"}, problem.Problem{Text: "M2 is lost: no route to host"}},
		{Peer{}, problem.Problem{Text: "M2 is lost: no answer"}},
	} {
		err := c.peer.loss("M2")
		if got := (problem.Problem{ID: problem.Of(err), Part: problem.PartOf(err), Text: err.Error()}); got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
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
