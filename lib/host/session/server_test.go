package session

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"hafs/lib/host/config"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	return private, signer
}

// certified is a host key with a certificate of an authority for the given names.
func certified(t *testing.T, authority ssh.Signer, validBefore uint64, names ...string) ssh.Signer {
	t.Helper()
	_, key := newKey(t)
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: names, ValidBefore: validBefore}
	must(t, cert.SignCert(rand.Reader, authority))
	signer, err := ssh.NewCertSigner(cert, key)
	must(t, err)
	return signer
}

// listen is a TCP server on this machine; serve gets each connection.
func listen(t *testing.T, serve func(net.Conn)) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// sshServer lets one key in. The command `echo` sends back what it gets; after `hang` the server takes nothing in any more.
func sshServer(t *testing.T, host ssh.Signer, client ssh.PublicKey) (port int) {
	t.Helper()
	server := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(client.Marshal()) {
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	server.AddHostKey(host)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return listen(t, func(plain net.Conn) {
		conn := &hanging{Conn: plain, over: over}
		c, channels, requests, err := ssh.NewServerConn(conn, server)
		if err != nil {
			conn.Close()
			return
		}
		t.Cleanup(func() { c.Close() })
		go ssh.DiscardRequests(requests)
		for offered := range channels {
			channel, asked, err := offered.Accept()
			if err != nil {
				return
			}
			go conn.run(channel, asked)
		}
	})
}

// hanging is a connection to a server that may freeze.
type hanging struct {
	net.Conn
	frozen atomic.Bool
	over   chan struct{}
}

func (h *hanging) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if h.frozen.Load() {
		<-h.over
	}
	return n, err
}

func (h *hanging) run(channel ssh.Channel, asked <-chan *ssh.Request) {
	for q := range asked {
		var command struct{ Line string }
		_ = ssh.Unmarshal(q.Payload, &command)
		h.frozen.Store(command.Line == "hang")
		_ = q.Reply(q.Type == "exec", nil)
		if command.Line == "echo" {
			_, _ = io.Copy(channel, channel)
			channel.Close()
		}
	}
}

// settings of a server with its key, and with a known_hosts file.
func settings(t *testing.T, key ed25519.PrivateKey, knownHosts string, port int) config.Settings {
	t.Helper()
	s := config.Defaults()
	s.SSHDirectory, s.Port = t.TempDir(), port
	block, err := ssh.MarshalPrivateKey(key, "")
	must(t, err)
	must(t, os.WriteFile(s.SSH("id_ed25519"), pem.EncodeToMemory(block), 0o600))
	must(t, os.WriteFile(filepath.Join(s.SSHDirectory, "known_hosts"), []byte(knownHosts), 0o644))
	return s
}

func trust(authority ssh.Signer) string {
	return "# the cluster's authority\n@cert-authority * " + string(ssh.MarshalAuthorizedKey(authority.PublicKey()))
}
