package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
)

// ErrSmallPackets means that a peer took small packets and not the larger ones after them: somewhere on the way a network has a smaller MTU than
// the servers believe, and nobody tells them.
var ErrSmallPackets = problem.As(problem.SmallPackets, errors.New("small packets get through, larger ones do not"))

// fullBytes is more than one packet takes in any network that is in use (jumbo frames: 9,000).
const fullBytes = 9 << 10

// fullPatience is enough for the kernel to repeat what is not acknowledged three times.
const fullPatience = 1500 * time.Millisecond

// SendFull sends what takes packets of full size, and returns when the peer has answered, or the connection has ended.
func SendFull(client *ssh.Client) error {
	_, _, err := client.SendRequest("full@hafs", true, make([]byte, fullBytes)) // a request that no server knows is refused, which is an answer
	return err
}

// tryFull fails when packets of full size do not get through. A peer that does not answer, but whose kernel has them, is slow, and no matter of the network.
func (d *Dialer) tryFull(ctx context.Context, client *ssh.Client, conn *greetedConn) error {
	answered := make(chan error, 1)
	go func() { answered <- SendFull(client) }()
	patience := time.NewTimer(min(d.Patience, fullPatience))
	defer patience.Stop()
	select {
	case err := <-answered:
		return err
	case <-patience.C:
		if conn.unheard() {
			return fmt.Errorf("no answer in %s", min(d.Patience, fullPatience))
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// greetedConn is a connection whose first bytes were looked at, and which knows how it fails.
type greetedConn struct {
	net.Conn
	reader  *bufio.Reader
	greeted bool        // the peer has spoken, and its kernel has acknowledged
	expired atomic.Bool // the kernel gave it up: nothing was acknowledged for too long
}

func (c *greetedConn) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.expire(err)
	return n, err
}

func (c *greetedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.expire(err)
	return n, err
}

func (c *greetedConn) expire(err error) {
	if errors.Is(err, syscall.ETIMEDOUT) {
		c.expired.Store(true)
	}
}

// unheard says whether the peer's kernel acknowledges no more what it is sent, after it did.
func (c *greetedConn) unheard() bool {
	if !c.greeted || c.expired.Load() {
		return c.greeted
	}
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	repeated := false
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		repeated = err == nil && info.Unacked > 0 && info.Retransmits >= 2
	})
	return repeated
}
