// Package networktest gives a test a network of its own, in which packets can be lost.
package networktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Alone runs a test once more in a network of its own, which is nothing but a loopback interface, and says whether this is that run. In the other one the test
// has nothing left to do.
func Alone(t *testing.T) bool {
	t.Helper()
	const inside = "HAFS_TEST_NETWORK"
	if os.Getenv(inside) == t.Name() {
		run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	for _, tool := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
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
	return false
}

// DropLarger loses what is sent to a port in packets of more than so many bytes. Where they come in: what a server may not even send, it would know of.
func DropLarger(t *testing.T, bytes, port int) {
	t.Helper()
	run(t, "nft", fmt.Sprintf("table ip way { chain in { type filter hook input priority 0; ip length > %d tcp dport %d drop; }; }", bytes, port))
}

// Heal loses nothing any more.
func Heal(t *testing.T) {
	t.Helper()
	run(t, "nft", "delete table ip way")
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
