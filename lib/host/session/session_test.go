package session

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"hafs/lib/host/problem"
)

// enough bounds what should take milliseconds.
const enough = 10 * time.Second

// meet dials W3 with our key and our authority's trust, where a server of the given host key lets the given key in.
func meet(t *testing.T, host func(authority ssh.Signer) ssh.Signer, wrongKey bool) (*ssh.Client, error) {
	t.Helper()
	_, authority := newKey(t)
	private, ours := newKey(t)
	allowed := ours.PublicKey()
	if wrongKey {
		_, other := newKey(t)
		allowed = other.PublicKey()
	}
	d, err := NewDialer(settings(t, private, trust(authority), sshServer(t, host(authority), allowed)))
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	client, err := d.Dial(ctx, "W3", "127.0.0.1")
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

func refused(t *testing.T, err error, id problem.ID, reasons ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("let in")
	}
	if got := problem.Of(err); got != id {
		t.Errorf("id %q, not %q", got, id)
	}
	for _, r := range append(reasons, "SSH to W3 at 127.0.0.1:") {
		if !strings.Contains(err.Error(), r) {
			t.Errorf("%q does not say %q", err, r)
		}
	}
}

// ofW3 is the host key of W3 itself.
func ofW3(t *testing.T) func(authority ssh.Signer) ssh.Signer {
	return func(authority ssh.Signer) ssh.Signer {
		return certified(t, authority, ssh.CertTimeInfinity, "W3", "10.77.0.33")
	}
}

func TestServerOfOurAuthorityIsBelieved(t *testing.T) {
	client, err := meet(t, ofW3(t), false)
	must(t, err)
	s, err := client.NewSession()
	must(t, err)
	stream, err := Stream(s, "echo")
	must(t, err)
	_, err = stream.Write([]byte("line\n"))
	must(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(stream, got)
	must(t, err)
	if string(got) != "line\n" {
		t.Fatalf("got %q", got)
	}
}

// A peer that hangs never agrees to the end of a session.
func TestStreamToAPeerThatHangsIsClosedAtOnce(t *testing.T) {
	client, err := meet(t, ofW3(t), false)
	must(t, err)
	s, err := client.NewSession()
	must(t, err)
	stream, err := Stream(s, "hang")
	must(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := stream.Read(make([]byte, 1))
		ended <- err
	}()
	must(t, stream.Close())
	select {
	case err := <-ended:
		if err == nil {
			t.Fatal("read something")
		}
	case <-time.After(enough):
		t.Fatal("a read still waits")
	}
}

func TestCertificateOfAnotherServerIsRefused(t *testing.T) {
	_, err := meet(t, func(authority ssh.Signer) ssh.Signer {
		return certified(t, authority, ssh.CertTimeInfinity, "M2", "127.0.0.1")
	}, false)
	refused(t, err, problem.HostCertificate, "whoever answers there is not W3", "M2")
}

func TestCertificateOfAForeignAuthorityIsRefused(t *testing.T) {
	_, stranger := newKey(t)
	_, err := meet(t, func(ssh.Signer) ssh.Signer { return ofW3(t)(stranger) }, false)
	refused(t, err, problem.HostCertificate, "the host certificate of W3 is signed by nobody we trust")
}

func TestServerWithoutACertificateIsRefused(t *testing.T) {
	_, bare := newKey(t)
	_, err := meet(t, func(ssh.Signer) ssh.Signer { return bare }, false)
	refused(t, err, problem.HostCertificate, "W3 has no host certificate")
}

func TestExpiredCertificateIsRefused(t *testing.T) {
	_, err := meet(t, func(authority ssh.Signer) ssh.Signer { return certified(t, authority, 1, "W3") }, false)
	refused(t, err, problem.HostCertificate, "the host certificate of W3 has expired")
}

func TestKeyTheServerDoesNotKnow(t *testing.T) {
	_, err := meet(t, ofW3(t), true)
	refused(t, err, problem.RefusedKey, "W3 refuses our key")
}

func TestServerThatNeverAnswersIsGivenUp(t *testing.T) {
	ctx, giveUp := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	port := listen(t, func(conn net.Conn) {
		accepted <- conn // and not a word in answer
		giveUp()
	})
	_, authority := newKey(t)
	private, _ := newKey(t)
	d, err := NewDialer(settings(t, private, trust(authority), port))
	must(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := d.Dial(ctx, "W3", "127.0.0.1")
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	case <-time.After(enough):
		t.Fatal("it still waits")
	}
	(<-accepted).Close()
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	_, authority := newKey(t)
	private, _ := newKey(t)
	d, err := NewDialer(settings(t, private, trust(authority), port))
	must(t, err)
	if _, err = d.Dial(t.Context(), "W3", "127.0.0.1"); err == nil || !strings.HasPrefix(err.Error(), "connect to W3: ") {
		t.Fatal(err)
	}
}

// What is wrong on our own side is said before anybody is dialled, with the file.
func TestKeysThatCannotBeUsed(t *testing.T) {
	private, ours := newKey(t)
	_, authority := newKey(t)
	plain := "W3 " + string(ssh.MarshalAuthorizedKey(ours.PublicKey()))
	for situation, c := range map[string]struct{ knownHosts, key, want string }{
		"no authority":        {plain, "", "known_hosts: no @cert-authority line, so no peer can be trusted"},
		"empty known_hosts":   {"", "", "known_hosts: no @cert-authority line"},
		"damaged known_hosts": {"@cert-authority * ssh-ed25519 AAAA!\n", "", "host-key trust "},
		"damaged key":         {trust(authority), "-----BEGIN", "id_ed25519: "},
		"no known_hosts":      {"absent", "", "host-key trust: open "},
		"no key":              {trust(authority), "absent", "client key: open "},
	} {
		t.Run(situation, func(t *testing.T) {
			s := settings(t, private, c.knownHosts, 1)
			switch {
			case c.knownHosts == "absent":
				must(t, os.Remove(s.SSH("known_hosts")))
			case c.key == "absent":
				must(t, os.Remove(s.SSH("id_ed25519")))
			case c.key != "":
				must(t, os.WriteFile(s.SSH("id_ed25519"), []byte(c.key), 0o600))
			}
			if _, err := NewDialer(s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}
