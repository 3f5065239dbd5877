package session

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// site is a set of peers at 127.0.0.1, 127.0.0.2, ..., all on one port as the cluster's servers are.
type site struct {
	t    *testing.T
	port int
	key  ssh.Signer
}

func newSite(t *testing.T) *site {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, key: key}
}

func (s *site) dialer(patience time.Duration) *Dialer {
	return &Dialer{
		Patience: patience, port: s.port, silence: time.Minute, turns: make(chan struct{}, handshakesAtATime),
		client: ssh.ClientConfig{User: "root", HostKeyCallback: ssh.FixedHostKey(s.key.PublicKey())},
	}
}

// peer starts the n-th peer, which does this with each connection, and returns its address.
func (s *site) peer(n int, serve func(net.Conn)) string {
	s.t.Helper()
	address := "127.0.0." + strconv.Itoa(n)
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(s.port)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	s.t.Cleanup(func() { l.Close(); serving.Wait() })
	return address
}

// live is a peer that works; seen is called in the middle of each handshake.
func (s *site) live(seen func()) func(net.Conn) {
	return func(conn net.Conn) {
		config := &ssh.ServerConfig{NoClientAuth: true, NoClientAuthCallback: func(ssh.ConnMetadata) (*ssh.Permissions, error) {
			seen()
			return nil, nil
		}}
		config.AddHostKey(s.key)
		if c, _, _, err := ssh.NewServerConn(conn, config); err == nil {
			_ = c.Wait()
		}
	}
}

// stuck is a peer that says this and then nothing; reached hears of every connection that got so far as to be spoken to or, when it says
// nothing itself, to be accepted.
func stuck(greeting string, reached chan<- struct{}) func(net.Conn) {
	return func(conn net.Conn) {
		if greeting == "" {
			reached <- struct{}{}
		}
		_, _ = conn.Write([]byte(greeting))
		buffer := make([]byte, 1<<10)
		for spoken := false; ; spoken = true {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
			if !spoken && greeting != "" {
				reached <- struct{}{}
			}
		}
	}
}

func dialAll(t *testing.T, d *Dialer, addresses ...string) (ctx context.Context, ended <-chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	errors := make(chan error, len(addresses))
	var dialling sync.WaitGroup
	for _, address := range addresses {
		dialling.Go(func() {
			client, err := d.Dial(ctx, "peer", address)
			if err == nil {
				client.Close()
			}
			errors <- err
		})
	}
	t.Cleanup(func() { cancel(); dialling.Wait() })
	return ctx, errors
}

func TestPeersThatNeverAnswerTakeNoTurn(t *testing.T) {
	s := newSite(t)
	reached := make(chan struct{}, 10)
	var silent []string
	for n := range 4 {
		silent = append(silent, s.peer(n+1, stuck("", reached)))
	}
	live := s.peer(5, s.live(func() {}))
	d := s.dialer(time.Minute)
	ctx, _ := dialAll(t, d, silent...)
	for range silent {
		<-reached
	}
	client, err := d.Dial(ctx, "peer", live)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

// The live peer's turn comes after its patience has passed, which counts from the turn.
func TestPeersThatFallSilentHoldTheirTurnForTheirPatience(t *testing.T) {
	s := newSite(t)
	reached := make(chan struct{}, 10)
	var silent []string
	for n := range 4 {
		silent = append(silent, s.peer(n+1, stuck("SSH-2.0-stuck\r\n", reached)))
	}
	live := s.peer(5, s.live(func() {}))
	d := s.dialer(500 * time.Millisecond)
	ctx, ended := dialAll(t, d, silent...)
	for range handshakesAtATime {
		<-reached
	}
	client, err := d.Dial(ctx, "peer", live)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	for range silent {
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("a silent peer: %v", err)
		}
	}
}

func TestAPeerThatNeverGreetsIsGivenUp(t *testing.T) {
	s := newSite(t)
	address := s.peer(1, stuck("", make(chan struct{}, 1)))
	if _, err := s.dialer(50*time.Millisecond).Dial(context.Background(), "M2", address); err == nil || !strings.Contains(err.Error(), "SSH to M2") {
		t.Error(err)
	}
}

func TestHandshakesTakeTurns(t *testing.T) {
	s := newSite(t)
	var mu sync.Mutex
	running, most, tooMany := 0, 0, make(chan struct{})
	seen := func() {
		mu.Lock()
		running++
		if most = max(most, running); running == handshakesAtATime+1 {
			close(tooMany)
		}
		mu.Unlock()
		select {
		case <-tooMany:
		case <-time.After(50 * time.Millisecond): // time for one too many to come
		}
		mu.Lock()
		running--
		mu.Unlock()
	}
	var addresses []string
	for n := range 6 {
		addresses = append(addresses, s.peer(n+1, s.live(seen)))
	}
	_, ended := dialAll(t, s.dialer(10*time.Second), addresses...)
	for range addresses {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if most != handshakesAtATime {
		t.Errorf("%d handshakes at a time, want %d", most, handshakesAtATime)
	}
}
