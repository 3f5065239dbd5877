package dial

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/session"
	"hafs/lib/host/socket"
)

// peer is a server of the cluster whose sshd runs whatever it is asked to as serve does.
type peer struct {
	t     *testing.T
	serve func(line string, c ssh.Channel) (status uint32)
	ended chan struct{} // a session has ended

	keeper *Keeper
}

// world is this server's keeper and one peer, M2; it returns the keeper's socket.
func world(t *testing.T, serve func(line string, c ssh.Channel) uint32) (*peer, string) {
	t.Helper()
	p := &peer{t: t, serve: serve, ended: make(chan struct{}, 1)}
	settings := config.Defaults()
	settings.Name, settings.RunDirectory, settings.SSHDirectory = "L1", t.TempDir(), t.TempDir()
	authority, host := signer(t, ""), signer(t, "")
	signer(t, settings.SSH("id_ed25519"))
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"M2"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	certified, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	trust := "@cert-authority * " + string(ssh.MarshalAuthorizedKey(authority.PublicKey()))
	if err := os.WriteFile(settings.SSH("known_hosts"), []byte(trust), 0o600); err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settings.Port = door.Addr().(*net.TCPAddr).Port
	go p.accept(door, certified)
	dialer, err := session.NewDialer(settings)
	if err != nil {
		t.Fatal(err)
	}
	r := cluster()
	for i := range r.Servers {
		r.Servers[i].Address = "127.0.0.1"
	}
	k := &Keeper{Settings: settings, pool: newPool(dialer, zerolog.Nop()), record: r, changed: make(chan struct{})}
	p.keeper = k
	listener, err := socket.Listen(settings.Run("dial.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go k.accept(ctx, listener)
	t.Cleanup(func() { cancel(); listener.Close(); door.Close() })
	return p, settings.Run("dial.sock")
}

func signer(t *testing.T, file string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if file != "" {
		block, err := ssh.MarshalPrivateKey(private, "")
		if err == nil {
			err = os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p *peer) accept(door net.Listener, key ssh.Signer) {
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	for {
		conn, err := door.Accept()
		if err != nil {
			return
		}
		go func() {
			_, channels, requests, err := ssh.NewServerConn(conn, config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			for n := range channels {
				if c, requests, err := n.Accept(); err == nil {
					go p.session(c, requests)
				}
			}
		}()
	}
}

func (p *peer) session(c ssh.Channel, requests <-chan *ssh.Request) {
	for q := range requests {
		_ = q.Reply(q.Type == "exec", nil)
		if q.Type != "exec" {
			continue
		}
		var command struct{ Line string }
		_ = ssh.Unmarshal(q.Payload, &command)
		go func() {
			status := p.serve(command.Line, c)
			_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			c.Close()
			p.ended <- struct{}{}
		}()
	}
}

func openStream(t *testing.T, path, host string) io.ReadWriteCloser {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	s, err := Open(ctx, path, host, []string{"stream"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); cancel() })
	return s
}

func echo(line string, c ssh.Channel) uint32 {
	_, _ = io.WriteString(c, line+"\n")
	_, _ = io.Copy(c, c)
	return 0
}

func expectText(t *testing.T, s io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestStreamToAPeerGoesBothWays(t *testing.T) {
	_, path := world(t, echo)
	s := openStream(t, path, "M2")
	expectText(t, s, "replica 7 stream\n")
	big := strings.Repeat("0123456789", 100_000) // more than the pipes hold
	go io.WriteString(s, big)
	expectText(t, s, big)
}

func TestCommandOnAPeerEndsWell(t *testing.T) {
	_, path := world(t, func(_ string, c ssh.Channel) uint32 {
		_, _ = io.WriteString(c, "last words")
		return 0
	})
	s := openStream(t, path, "M2")
	if text, err := io.ReadAll(s); string(text) != "last words" || err != nil {
		t.Fatal(string(text), err)
	}
}

func TestPeerRefusesAStream(t *testing.T) {
	_, path := world(t, func(_ string, c ssh.Channel) uint32 {
		_, _ = io.WriteString(c.Stderr(), "hafs-gate: M2 refuses: L1 acts in generation 6, M2 has 7\n")
		return 3
	})
	s := openStream(t, path, "M2")
	_, err := io.ReadAll(s)
	if err == nil || !strings.Contains(err.Error(), "M2: ") || !strings.Contains(err.Error(), "M2 refuses: L1 acts in generation 6, M2 has 7") {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err = s.Write(make([]byte, 1<<16)); err != nil || time.Now().After(deadline) {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "refuses") {
		t.Error("writing:", err)
	}
}

func TestPeerComplainsMoreThanAnybodyReads(t *testing.T) {
	_, path := world(t, func(_ string, c ssh.Channel) uint32 {
		_, _ = io.WriteString(c.Stderr(), strings.Repeat("complaint\n", 100_000))
		return 1
	})
	if _, err := io.ReadAll(openStream(t, path, "M2")); err == nil || !strings.Contains(err.Error(), "complaint") || len(err.Error()) > 2*maxComplaint {
		t.Error(err)
	}
}

func TestStreamToNobody(t *testing.T) {
	_, path := world(t, echo)
	for host, want := range map[string]string{"X9": "not in the server list", "fs": "by its own name"} {
		if _, err := io.ReadAll(openStream(t, path, host)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "dial.sock"), "M2", []string{"stream"}); err == nil {
		t.Error("a session without a keeper")
	}
}

// Close and the end of the context end the session at the peer, and a read that waits here.
func TestStreamIsClosed(t *testing.T) {
	for how, end := range map[string]func(s io.Closer, cancel func()){
		"close":   func(s io.Closer, _ func()) { s.Close() },
		"context": func(_ io.Closer, cancel func()) { cancel() },
	} {
		p, path := world(t, echo)
		ctx, cancel := context.WithCancel(context.Background())
		s, err := Open(ctx, path, "M2", []string{"stream"})
		if err != nil {
			t.Fatal(err)
		}
		expectText(t, s, "replica 7 stream\n")
		read := make(chan error, 1)
		go func() {
			_, err := s.Read(make([]byte, 1))
			read <- err
		}()
		end(s, cancel)
		for what, done := range map[string]<-chan struct{}{"session": p.ended, "read": heard(read)} {
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: the %s goes on", how, what)
			}
		}
		s.Close()
		cancel()
	}
}

func heard(errs <-chan error) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		if <-errs != nil {
			close(done)
		}
	}()
	return done
}

// A generation in which this server does not feed that replica any more ends the stream.
func TestRecordEndsAStream(t *testing.T) {
	p, path := world(t, echo)
	s := openStream(t, path, "M2")
	expectText(t, s, "replica 7 stream\n")
	k := p.keeper
	k.mu.Lock()
	next := k.record
	next.Generation = 8
	next.Pairs = []record.Pair{{DRS1: "W3", DRS2: "M3"}}
	k.record = next
	close(k.changed)
	k.changed = make(chan struct{})
	k.mu.Unlock()
	if _, err := io.ReadAll(s); err == nil || !strings.Contains(err.Error(), "the record has changed") {
		t.Error(err)
	}
	<-p.ended
}

// Whoever reads is gone (rsync, on a full disk), while hafs-dial, which lent the streams, still waits for the command's end.
func TestNobodyReadsAnyMore(t *testing.T) {
	p, path := world(t, func(_ string, c ssh.Channel) uint32 {
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return 1
			}
		}
	})
	conn, err := socket.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &opened{host: "M2", conn: conn}
	if err := s.lend([]byte(`{"Host":"M2","Command":["stream"]}`)); err != nil {
		t.Fatal(err)
	}
	defer s.in.Close()
	defer s.complain.Close()
	expectText(t, s.out, "\x00")
	s.out.Close()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the command goes on")
	}
}

// The keeper is killed: descriptors and connection go at once.
func TestKeeperGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dial.sock")
	listener, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var keeper sync.WaitGroup
	keeper.Go(func() {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		_, files, _ := socket.Receive(conn, 3)
		for _, f := range files {
			f.Close()
		}
	})
	s := openStream(t, path, "M2")
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "hafs-dial.service ended") {
		t.Error(err)
	}
	keeper.Wait()
}
