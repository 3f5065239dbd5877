package guests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestPlaceStaysInsideTheTree(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(tree, "etc")); err != nil {
		t.Fatal(err)
	}
	if err := place(tree, []entry{{path: "etc/hosts", mode: 0o644, text: "x"}}); err == nil {
		t.Error("it followed a link out of the tree")
	}
	if found, _ := os.ReadDir(outside); len(found) > 0 {
		t.Errorf("it wrote %s outside", found[0].Name())
	}
}

func TestPlaceReplacesWhatIsThere(t *testing.T) {
	tree := t.TempDir()
	entries := []entry{{path: "a/b", mode: 0o600, text: "two"}, {path: "a/c", link: "/dev/null"}}
	for range 2 {
		if err := place(tree, entries); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(tree, "a/b"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if link, err := os.Readlink(filepath.Join(tree, "a/c")); link != "/dev/null" {
		t.Errorf("%q, %v", link, err)
	}
}

func TestAnotherContentIsAnotherTree(t *testing.T) {
	base := lowerName("a.tar", common("key"))
	for what, name := range map[string]string{
		"tree": lowerName("b.tar", common("key")), "key": lowerName("a.tar", common("other")),
	} {
		if name == base {
			t.Errorf("another %s has the same name", what)
		}
	}
	if lowerName("a.tar", common("key")) != base {
		t.Error("the same content has another name")
	}
}

func TestKeysAreWhatOpenSSHReads(t *testing.T) {
	key, err := newKey("M2")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey([]byte(key.private))
	if err != nil {
		t.Fatal(err)
	}
	public, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(key.public))
	if err != nil || comment != "M2" || len(rest) > 0 {
		t.Fatalf("%q %q %v", comment, rest, err)
	}
	if string(public.Marshal()) != string(signer.PublicKey().Marshal()) {
		t.Error("the two halves do not belong together")
	}
	m, _ := Find("M2")
	_, hosts, _, _, _, err := ssh.ParseKnownHosts([]byte(knownHost(m, key.public)))
	if err != nil || strings.Join(hosts, " ") != "M2 10.77.0.22" {
		t.Errorf("%q, %v", hosts, err)
	}
}
