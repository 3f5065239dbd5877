package confine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const find = "/usr/bin/find"

// TestMain lets the test's own binary become a confined program.
func TestMain(m *testing.M) {
	directory := os.Getenv("CONFINE_TEST_DIRECTORY")
	if directory == "" {
		os.Exit(m.Run())
	}
	err := Exec(os.Getenv("CONFINE_TEST_SCRATCH"), directory, os.Args[1], os.Args[1:], []string{"LC_ALL=C"})
	_, _ = os.Stderr.WriteString(err.Error())
	os.Exit(125)
}

// confined runs a program that sees a directory only.
func confined(t *testing.T, directory string, command ...string) string {
	t.Helper()
	if _, err := os.Stat(command[0]); err != nil {
		t.Skip("needs a program to confine: ", err)
	}
	scratch := t.TempDir()
	cmd := exec.Command(os.Args[0], command...)
	cmd.Env = []string{"CONFINE_TEST_DIRECTORY=" + directory, "CONFINE_TEST_SCRATCH=" + scratch}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 125 {
		if os.Getuid() != 0 || strings.Contains(string(out), unix.EPERM.Error()) {
			t.Skipf("needs the right to mount: %s", out)
		}
		t.Fatalf("%s", out)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("others see %v, %v", left, err)
	}
	return string(out)
}

func TestNothingElseIsThere(t *testing.T) {
	share := t.TempDir()
	for _, name := range []string{"f", "d/g"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(share, name)), 0o755), os.WriteFile(filepath.Join(share, name), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(share, "link")); err != nil {
		t.Fatal(err)
	}
	out := confined(t, share, find, "/", "-path", "/usr/lib*", "-prune", "-o", "!", "-type", "d", "-print")
	got := map[string]bool{}
	for line := range strings.Lines(out) {
		got[strings.TrimSpace(line)] = true
	}
	for _, name := range []string{"/f", "/d/g", "/link"} {
		if !got[share+name] {
			t.Errorf("%s is not there", name)
		}
		delete(got, share+name)
	}
	for name := range got {
		if name != find && !strings.HasPrefix(name, "/lib") {
			t.Errorf("%s is there", name)
		}
	}
	if out := confined(t, share, find, "-L", share+"/link", "/proc", "/dev", "/etc", share+"/..", "-maxdepth", "1", "-newer", "/etc/passwd"); !strings.Contains(out, "No such file") {
		t.Error(out)
	}
}

func TestOnlyTheDirectoryIsWrittenTo(t *testing.T) {
	const touch = "/usr/bin/touch"
	share := t.TempDir()
	confined(t, share, touch, share+"/made")
	if _, err := os.Stat(share + "/made"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/made", "/usr/lib/made"} {
		if out := confined(t, share, touch, name); !strings.Contains(out, "Read-only file system") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestMountsBelowAreNotThere(t *testing.T) {
	share, secret := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Mkdir(share+"/mount", 0o755), os.WriteFile(secret+"/secret", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(secret, share+"/mount", "", unix.MS_BIND, ""); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(share+"/mount", unix.MNT_DETACH) })
	if out := confined(t, share, find, share); strings.Contains(out, "secret") || !strings.Contains(out, "mount") {
		t.Error(out)
	}
}
