package dial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"hafs/lib/cluster/record"
	"hafs/lib/host/session"
)

const (
	sessionPatience = 3 * time.Second // for the peer to open a session on a connection that works
	redialPause     = 500 * time.Millisecond
	// fullEvery is how often something large is sent over each connection that is kept: when it does not get through, the kernel ends the connection, and
	// the next one is not made.
	fullEvery = time.Second
)

// pool holds one connection per server.
type pool struct {
	dialer *session.Dialer
	log    zerolog.Logger

	mu    sync.Mutex
	warm  map[string]*connection
	keeps map[string]context.CancelFunc // servers whose connection is kept whether it is used or not

	failures failures
}

type connection struct {
	address string
	making  sync.Mutex
	client  *live
}

// live is a connection that works, or did.
type live struct {
	*ssh.Client
	ended chan struct{} // closed when it has
	why   error         // then
	full  chan struct{} // holds one while something large is under way
}

func newPool(d *session.Dialer, log zerolog.Logger) *pool {
	return &pool{dialer: d, log: log, warm: map[string]*connection{}, keeps: map[string]context.CancelFunc{}, failures: failures{changed: make(chan struct{}, 1)}}
}

func (p *pool) entry(s record.Server) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.warm[s.Name]
	if c == nil || c.address != s.Address {
		c = &connection{address: s.Address}
		p.warm[s.Name] = c
	}
	return c
}

// get is a working connection to a server, made if there is none.
func (p *pool) get(ctx context.Context, s record.Server) (*live, error) {
	c := p.entry(s)
	c.making.Lock()
	defer c.making.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	dialed, err := p.dialer.Dial(ctx, s.Name, s.Address)
	p.note(ctx, s, err)
	if err != nil {
		return nil, err
	}
	made := &live{Client: dialed, ended: make(chan struct{}), full: make(chan struct{}, 1)}
	c.client = made
	go func() {
		made.why = made.Wait()
		close(made.ended)
		p.log.Debug().Err(made.why).Str("peer", s.Name).Msg("data connection ended")
		c.making.Lock()
		if c.client == made {
			c.client = nil
		}
		c.making.Unlock()
	}()
	return made, nil
}

// drop ends a connection that does not work, so that the next get makes a new one.
func (p *pool) drop(s record.Server, broken *live) {
	c := p.entry(s)
	c.making.Lock()
	defer c.making.Unlock()
	if c.client == broken {
		c.client = nil
	}
	broken.Close()
}

// keep makes connections to just these servers and renews them when they break.
func (p *pool) keep(ctx context.Context, servers []record.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[string]bool{}
	for _, s := range servers {
		key := s.Name + " " + s.Address
		wanted[key] = true
		if p.keeps[key] == nil {
			keeping, stop := context.WithCancel(ctx)
			p.keeps[key] = stop
			go p.renew(keeping, s)
		}
	}
	for key, stop := range p.keeps {
		if !wanted[key] {
			stop()
			delete(p.keeps, key)
			name, _, _ := strings.Cut(key, " ")
			p.failures.note(name, nil)
		}
	}
}

func (p *pool) renew(ctx context.Context, s record.Server) {
	for ctx.Err() == nil {
		client, err := p.get(ctx, s)
		if err == nil {
			p.note(ctx, s, nil) // also when somebody else has made it
			ended := use(ctx, client)
			if ctx.Err() != nil {
				return // sessions that use it go on
			}
			if errors.Is(ended, syscall.ETIMEDOUT) { // if small packets are all that gets through, the next attempt finds that too
				p.note(ctx, s, session.ErrSmallPackets)
			}
		} else {
			p.log.Debug().Err(err).Str("peer", s.Name).Msg("no data connection")
		}
		select {
		case <-time.After(redialPause):
		case <-ctx.Done():
		}
	}
}

// note takes down what came of an attempt to reach a server whose connection is kept, whoever wanted it: others wait for their turn meanwhile. Of one that was
// given up, or is not kept any more, nothing is said.
func (p *pool) note(ctx context.Context, s record.Server, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() == nil && p.keeps[s.Name+" "+s.Address] != nil {
		p.failures.note(s.Name, err)
	}
}

// use sends something large now and then, until the connection ends, and why, or is not kept any more.
func use(ctx context.Context, c *live) error {
	for {
		select {
		case <-c.ended:
			return c.why
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(fullEvery):
			c.sendFull()
		}
	}
}

// sendFull does not wait for the answer, and does nothing while an earlier one is missing: a peer may hang, and the record ask for the connection again and
// again.
func (c *live) sendFull() {
	select {
	case c.full <- struct{}{}:
	default:
		return
	}
	go func() {
		_ = session.SendFull(c.Client) // an error is the end
		<-c.full
	}()
}

// open is a new session with a server, no command started yet.
func (p *pool) open(ctx context.Context, s record.Server) (*ssh.Session, error) {
	client, err := p.get(ctx, s)
	if err != nil {
		return nil, err
	}
	type result struct {
		session *ssh.Session
		err     error
	}
	opened := make(chan result, 1)
	go func() {
		session, err := client.NewSession()
		opened <- result{session, err}
	}()
	select {
	case o := <-opened:
		if o.err != nil {
			p.drop(s, client)
			return nil, fmt.Errorf("session with %s: %w", s.Name, o.err)
		}
		return o.session, nil
	case <-time.After(sessionPatience):
		p.drop(s, client)
		return nil, fmt.Errorf("session with %s: no answer in %s", s.Name, sessionPatience)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
