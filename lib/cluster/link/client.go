package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// ErrNotRunning means that there is no hafs-linkcheck on this server to ask, so that nothing is known of the others.
var ErrNotRunning = errors.New("hafs-linkcheck does not run here")

// Client asks the running hafs-linkcheck of this server, and through it any other server.
type Client struct {
	Socket string // such as /run/hafs/link.sock
}

func (c Client) call(ctx context.Context, q Request) (Reply, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return Reply{}, fmt.Errorf("ask hafs-linkcheck: %w", err)
		}
		return Reply{}, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if _, err := conn.Write([]byte("{}\n")); err != nil {
		conn.Close()
		return Reply{}, err
	}
	caller := newCaller(conn)
	defer caller.fail(errors.New("done"))
	return caller.call(ctx, q)
}

// Beat is one heartbeat to a server.
func (c Client) Beat(ctx context.Context, server string) (Facts, error) {
	r, err := c.call(ctx, Request{Kind: Beat, To: server})
	if err != nil {
		return Facts{}, err
	}
	if r.Facts == nil {
		return Facts{}, errors.New("an answer without facts")
	}
	return *r.Facts, nil
}

// View is what this server's hafs-linkcheck knows of its peers.
func (c Client) View(ctx context.Context) (map[string]Peer, error) {
	r, err := c.call(ctx, Request{Kind: View})
	return r.View, err
}

// Locate is how far a server's copy of the share is; nil when it has none that is numbered.
func (c Client) Locate(ctx context.Context, server string) (*repair.Position, error) {
	r, err := c.call(ctx, Request{Kind: Locate, To: server})
	return r.Position, err
}

// Inquire is all a server says of itself.
func (c Client) Inquire(ctx context.Context, server string) (Details, error) {
	r, err := c.call(ctx, Request{Kind: Inquire, To: server})
	if err != nil {
		return Details{}, err
	}
	if r.Details == nil {
		return Details{}, errors.New("an answer without details")
	}
	return *r.Details, nil
}

// Prepare, Accept and Install make Client a proposer's way to the voters (agree.Peers).
func (c Client) Prepare(ctx context.Context, server string, b agree.Ballot, wanted record.Record) (agree.Answer, error) {
	return c.vote(ctx, Request{Kind: Prepare, To: server, Ballot: &b, Record: &wanted})
}

// Accept asks for a vote.
func (c Client) Accept(ctx context.Context, server string, b agree.Ballot, value record.Record) (agree.Answer, error) {
	return c.vote(ctx, Request{Kind: Accept, To: server, Ballot: &b, Record: &value})
}

func (c Client) vote(ctx context.Context, q Request) (agree.Answer, error) {
	r, err := c.call(ctx, q)
	if err != nil {
		return agree.Answer{}, err
	}
	if r.Answer == nil {
		return agree.Answer{}, errors.New("an answer without a vote")
	}
	return *r.Answer, nil
}

// Install tells a server what was chosen.
func (c Client) Install(ctx context.Context, server string, chosen record.Record) error {
	_, err := c.call(ctx, Request{Kind: Install, To: server, Record: &chosen})
	return err
}
