// Package session opens authenticated SSH connections between servers of one cluster.
//
// A peer proves its name with a host certificate signed by the cluster's CA (known_hosts, @cert-authority lines), so an address that
// moves or a new server needs no new trust. There is no way to skip the check.
//
// Handshakes take turns: when a whole site powers on, every process wants one with every peer, and a machine of two cores that begins them all finishes
// none in time. Only a peer that has spoken gets a turn, so one that hangs takes none from the others; one that falls silent in its turn holds it
// for the dialler's patience. How long a caller waits for the turn is up to its context.
package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"hafs/lib/host/config"
)

const (
	handshakesAtATime = 2
	patience          = 3 * time.Second // a handshake on a machine that has other things to do
)

// Dialer opens connections as one server.
type Dialer struct {
	// Patience bounds each part of Dial on its own: connecting, the wait for the peer's first word, and the handshake from when its turn comes.
	Patience time.Duration
	// Full has Dial try whether packets of full size get through before it gives a connection away: for data. A network that lets only small ones through
	// would look well until something large is sent.
	Full bool
	// Small has connections on which neither side sends larger packets than any network takes: for links. A long answer that does not get through would hold
	// up the heartbeats behind it.
	Small bool

	client ssh.ClientConfig
	port   int
	// silence bounds how long sent data may stay unacknowledged before the kernel gives the connection up.
	silence time.Duration
	turns   chan struct{}
}

// NewDialer reads the server's key and the CA keys it trusts.
func NewDialer(s config.Settings) (*Dialer, error) {
	text, err := os.ReadFile(s.SSH("id_ed25519"))
	if err != nil {
		return nil, fmt.Errorf("client key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("client key %s: %w", s.SSH("id_ed25519"), err)
	}
	authorities, err := readAuthorities(s.SSH("known_hosts"))
	if err != nil {
		return nil, err
	}
	checker := &ssh.CertChecker{
		IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
			return slices.ContainsFunc(authorities, func(a ssh.PublicKey) bool { return string(a.Marshal()) == string(key.Marshal()) })
		},
	}
	return &Dialer{
		Patience: max(patience, s.ExaminationTime),
		client: ssh.ClientConfig{
			Config: ssh.Config{
				KeyExchanges: []string{ssh.KeyExchangeCurve25519},
				Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES128CTR},
			},
			User:              "root",
			Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback:   checker.CheckHostKey,
			HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01},
		},
		port:    s.Port,
		silence: 2 * s.ExaminationTime,
		turns:   make(chan struct{}, handshakesAtATime),
	}, nil
}

func readAuthorities(path string) ([]ssh.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("host-key trust: %w", err)
	}
	var authorities []ssh.PublicKey
	for len(text) > 0 {
		marker, _, key, _, rest, err := ssh.ParseKnownHosts(text)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("host-key trust %s: %w", path, err)
		}
		if marker == "cert-authority" {
			authorities = append(authorities, key)
		}
		text = rest
	}
	if len(authorities) == 0 {
		return nil, fmt.Errorf("host-key trust %s: no @cert-authority line, so no peer can be trusted", path)
	}
	return authorities, nil
}

// Dial connects to the server called name at address. Patience bounds its parts; the context bounds the whole, the wait for the turn included.
func (d *Dialer) Dial(ctx context.Context, name, address string) (*ssh.Client, error) {
	endpoint := net.JoinHostPort(address, strconv.Itoa(d.port))
	dialer := net.Dialer{
		Timeout:         d.Patience,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3},
	}
	if d.Small {
		dialer.Control = limitSegments
	}
	conn, err := dialer.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	d.limitSilence(conn)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	greeted := &greetedConn{Conn: conn, reader: bufio.NewReader(conn)}
	client, err := d.handshake(ctx, greeted, name)
	if err == nil && d.Full {
		err = d.tryFull(ctx, client, greeted)
	}
	if err != nil {
		if !d.Small && greeted.unheard() && ctx.Err() == nil { // else it sent no larger ones
			err = fmt.Errorf("%w: %w", ErrSmallPackets, err)
		}
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("SSH to %s at %s: %w", name, endpoint, reason(name, err))
	}
	return client, nil
}

// handshake waits for the peer's first word, then for a turn.
func (d *Dialer) handshake(ctx context.Context, conn *greetedConn, name string) (*ssh.Client, error) {
	if err := conn.SetDeadline(time.Now().Add(d.Patience)); err != nil {
		return nil, err
	}
	if _, err := conn.reader.Peek(1); err != nil {
		return nil, fmt.Errorf("no greeting: %w", err)
	}
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn.greeted = true
	if err := conn.SetDeadline(time.Now().Add(d.Patience)); err != nil {
		return nil, err
	}
	// The certificate is checked against the name, not the address: a member at another member's address is still a stranger.
	c, channels, requests, err := ssh.NewClientConn(conn, net.JoinHostPort(name, strconv.Itoa(d.port)), &d.client)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// smallSegment is what a packet carries that no network is too small for (RFC 1122).
const smallSegment = 536

// limitSegments has the kernel send no larger packets, and tell the peer's not to either, which it does when it connects.
func limitSegments(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, smallSegment)
	})
}

// limitSilence makes the kernel end a connection whose peer stopped acknowledging; without it a dead peer holds a session for
// a quarter of an hour.
func (d *Dialer) limitSilence(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.silence.Milliseconds()))
		})
	}
}
