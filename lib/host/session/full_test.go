package session

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
	"hafs/lib/testkit/networktest"
)

// A network that drops what is larger than its MTU is named, whether the handshake gets through it or not; a connection for heartbeats does not care.
func TestNetworkThatPassesSmallPacketsOnly(t *testing.T) {
	if !networktest.Alone(t) {
		return
	}
	for _, c := range []struct {
		largest     int
		full, small bool
		fails       bool
		want        problem.ID
	}{
		{65535, true, false, false, ""},
		{4000, false, false, false, ""},
		{4000, true, false, true, problem.SmallPackets},
		{400, true, false, true, problem.SmallPackets},
		{400, false, true, true, ""}, // a server that is cut off: no network is that small
	} {
		_, authority := newKey(t)
		private, ours := newKey(t)
		port := sshServer(t, ofW3(t)(authority), ours.PublicKey())
		d, err := NewDialer(settings(t, private, trust(authority), port))
		must(t, err)
		d.Full, d.Small = c.full, c.small
		networktest.DropLarger(t, c.largest, port)
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		client, err := d.Dial(ctx, "W3", "127.0.0.1")
		cancel()
		if got := problem.Of(err); got != c.want || (err != nil) != c.fails {
			t.Errorf("at most %d bytes, full %t, small %t: %v (%q), want %q", c.largest, c.full, c.small, err, got, c.want)
		}
		if client != nil {
			client.Close()
		}
		networktest.Heal(t)
	}
}

// Over a connection of small packets a long message gets through such a network too.
func TestSmallPacketsOnASmallNetwork(t *testing.T) {
	if !networktest.Alone(t) {
		return
	}
	_, authority := newKey(t)
	private, ours := newKey(t)
	port := sshServer(t, ofW3(t)(authority), ours.PublicKey())
	d, err := NewDialer(settings(t, private, trust(authority), port))
	must(t, err)
	d.Small = true
	networktest.DropLarger(t, 576, port)
	client, err := d.Dial(t.Context(), "W3", "127.0.0.1")
	must(t, err)
	defer client.Close()
	answered := make(chan error, 1)
	go func() { answered <- SendFull(client) }()
	select {
	case err := <-answered:
		must(t, err)
	case <-time.After(enough):
		t.Error("it did not get through")
	}
}

// The peer sends small packets too: it is told to.
func TestSmallPacketsFromThePeer(t *testing.T) {
	segment := make(chan int, 1)
	port := listen(t, func(conn net.Conn) {
		defer conn.Close()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Error(err)
		}
		_ = raw.Control(func(fd uintptr) {
			size, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
			if err != nil {
				t.Error(err)
			}
			segment <- size
		})
	})
	_, authority := newKey(t)
	private, _ := newKey(t)
	d, err := NewDialer(settings(t, private, trust(authority), port))
	must(t, err)
	d.Small = true
	if _, err := d.Dial(t.Context(), "W3", "127.0.0.1"); err == nil {
		t.Error("the peer says nothing")
	}
	if size := <-segment; size > smallSegment {
		t.Errorf("the peer sends %d bytes in a packet", size)
	}
}

// A peer that is slow to answer is no matter of the network, and the connection is good.
func TestPeerThatIsSlowToAnswer(t *testing.T) {
	_, authority := newKey(t)
	private, _ := newKey(t)
	server := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	server.AddHostKey(ofW3(t)(authority))
	port := listen(t, func(plain net.Conn) {
		if c, _, _, err := ssh.NewServerConn(plain, server); err == nil { // and answers no request
			t.Cleanup(func() { c.Close() })
		}
	})
	d, err := NewDialer(settings(t, private, trust(authority), port))
	must(t, err)
	d.Full, d.Patience = true, 500*time.Millisecond
	client, err := d.Dial(t.Context(), "W3", "127.0.0.1")
	must(t, err)
	client.Close()
}
