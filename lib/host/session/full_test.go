package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
)

// A network that drops what is larger than its MTU is named, whether the handshake gets through it or not; a connection for heartbeats does not care.
func TestNetworkThatPassesSmallPacketsOnly(t *testing.T) {
	const inside = "HAFS_SMALL_PACKETS_TEST"
	if os.Getenv(inside) == "" {
		for _, tool := range []string{"nft", "ip"} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skip(err)
			}
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, UidMappings: root, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs a user namespace: ", err)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	for _, c := range []struct {
		largest int
		full    bool
		want    problem.ID
	}{
		{65535, true, ""},
		{4000, false, ""},
		{4000, true, problem.SmallPackets},
		{400, true, problem.SmallPackets},
	} {
		_, authority := newKey(t)
		private, ours := newKey(t)
		port := sshServer(t, ofW3(t)(authority), ours.PublicKey())
		d, err := NewDialer(settings(t, private, trust(authority), port))
		must(t, err)
		d.Full = c.full
		run(t, "nft", fmt.Sprintf("table ip way { chain in { type filter hook input priority 0; ip length > %d tcp dport %d drop; }; }", c.largest, port))
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		client, err := d.Dial(ctx, "W3", "127.0.0.1")
		cancel()
		if got := problem.Of(err); got != c.want || (err == nil) != (c.want == "") {
			t.Errorf("at most %d bytes, full %t: %v (%q), want %q", c.largest, c.full, err, got, c.want)
		}
		if client != nil {
			client.Close()
		}
		run(t, "nft", "delete table ip way")
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
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
