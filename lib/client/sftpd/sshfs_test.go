package sftpd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test's own binary be what sshfs starts in the place of ssh: one session of a directory.
func TestMain(m *testing.M) {
	directory := os.Getenv("SFTPD_TEST_DIRECTORY")
	if directory == "" {
		os.Exit(m.Run())
	}
	if err := (Server{}).Serve(context.Background(), directory, os.Stdin, os.Stdout); err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// mount mounts the share as a client does.
func mount(t *testing.T, share string) string {
	t.Helper()
	if _, err := exec.LookPath("sshfs"); err != nil {
		t.Skip("needs sshfs: ", err)
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("needs FUSE: ", err)
	}
	at, script := t.TempDir(), filepath.Join(t.TempDir(), "ssh")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\nSFTPD_TEST_DIRECTORY="+share+" exec "+os.Args[0]+"\n"), 0o755))
	options := "default_permissions,dir_cache=no,entry_timeout=0,attr_timeout=0,negative_timeout=0,ssh_command=" + script
	if out, err := exec.Command("sshfs", "fs:"+share, at, "-o", options).CombinedOutput(); err != nil {
		t.Skipf("sshfs does not mount here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("fusermount3", "-u", "-z", at).Run() })
	return at
}

// sh runs commands in a directory, each of which must end well.
func sh(t *testing.T, directory, commands string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", commands)
	cmd.Dir = directory
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", commands, err, out)
	}
	return strings.TrimSpace(string(out))
}

// A2, as programs do it.
func TestProgramsCopyLinksToAMount(t *testing.T) {
	w := start(t)
	at, source := mount(t, w.share), t.TempDir()
	secret := filepath.Join(w.outside, "shadow")
	before := state(t, w.outside)
	sh(t, source, "ln -s /nowhere dangling; ln -s "+secret+" absolute; echo a >f; touch -h -d 2001-01-01 *")
	for what, command := range map[string]string{
		"tar": "tar -C " + source + " -cf - . | (mkdir tar; tar -C tar -xpf -)", "cp": "cp -a " + source + " cp", "rsync": "rsync -a " + source + "/ rsync/",
	} {
		sh(t, at, command)
		if got := sh(t, w.share, "cd "+what+"; stat -c '%N %Y' dangling absolute | grep -c ' 978'"); got != "2" {
			t.Errorf("%s: %s links with their times", what, got)
		}
	}
	sh(t, at, "ln -s "+secret+" l; chown -h 1234 l; touch -h -d 2001-01-01 l; test $(stat -c %u "+w.share+"/l) = 1234")
	if after := state(t, w.outside); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

// A3, as programs do it.
func TestProgramsMakeFilesForTheirGroup(t *testing.T) {
	w := start(t)
	defer unix.Umask(unix.Umask(0o022)) // of the server, which takes it over from here
	at := mount(t, w.share)
	sh(t, at, "umask 002; touch u; mkdir ud; (umask 0; touch u0; mkdir -m 2770 team); mkdir team/d")
	if got := sh(t, w.share, "stat -c %a u ud u0 team team/d | tr '\\n' ' '"); got != "664 775 666 2770 2775" {
		t.Error(got)
	}
}

func TestProgramsWorkOnAMount(t *testing.T) {
	w := start(t)
	at := mount(t, w.share)
	sh(t, at, `mkdir -p a/b/c; seq 100000 >a/n; cp a/n a/b/n; mv a/b a/d; ln a/n a/m; cmp a/n a/d/n; echo x >>a/n; tail -1 a/m | grep x; dd if=/dev/zero of=z bs=1M count=3 status=none
truncate -s 5 z; test $(stat -c %s z) = 5; sync z; mkfifo p 2>/dev/null || true; rm -r a; mv z y; test ! -e z; ls -la >/dev/null; df . >/dev/null; i=0; while test $i -lt 250; do : >f$i; i=$((i+1)); done; ls | wc -l | grep 251`)
}
