package guests

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// hostKey is a key pair in the text forms of OpenSSH.
type hostKey struct {
	private string
	public  string // one line, with the comment and the line end
}

func newKey(comment string) (hostKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return hostKey{}, fmt.Errorf("make key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return hostKey{}, fmt.Errorf("make key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return hostKey{}, fmt.Errorf("make key: %w", err)
	}
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
	return hostKey{string(pem.EncodeToMemory(block)), text + " " + comment + "\n"}, nil
}

// knownHost is the line of a known_hosts file for a guest with that public key.
func knownHost(m Member, public string) string {
	fields := strings.Fields(public)
	return fmt.Sprintf("%s,%s %s %s\n", m.Name, m.Address, fields[0], fields[1])
}

// sshConfig lets `ssh -F` reach every guest by its name from inside the namespace, and touches no file of the user's.
func sshConfig(key, knownHosts string) string {
	var b strings.Builder
	for _, m := range Members() {
		fmt.Fprintf(&b, "Host %s\n    HostName %s\n", m.Name, m.Address)
	}
	fmt.Fprintf(&b, `Host *
    User root
    IdentityFile %s
    IdentitiesOnly yes
    UserKnownHostsFile %s
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    ConnectTimeout 5
    LogLevel ERROR
`, key, knownHosts)
	return b.String()
}
