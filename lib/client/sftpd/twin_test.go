package sftpd

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

const opensshServer = "/usr/lib/openssh/sftp-server"

// openssh is a client of OpenSSH's server in a directory.
func openssh(t *testing.T, directory string) *sftp.Client {
	t.Helper()
	if _, err := os.Stat(opensshServer); err != nil {
		t.Skip("needs OpenSSH's sftp-server to compare with: ", err)
	}
	cmd := exec.Command(opensshServer, "-d", directory)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	client, err := sftp.NewClientPipe(out, in)
	must(t, err)
	t.Cleanup(func() { client.Close(); _ = cmd.Wait() })
	return client
}

// TestAsOpenSSH lets both servers do the same, drawn at random. They may differ where ours promises something else: a link is not followed, and a mode is not
// masked (the umask is 0 here).
func TestAsOpenSSH(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	for seed := range uint64(40) {
		w := start(t)
		theirs := filepath.Join(t.TempDir(), "nfs")
		must(t, os.Mkdir(theirs, 0o755))
		other := openssh(t, theirs)
		dice := rand.New(rand.NewPCG(seed, 1))
		story := []string{}
		for range 150 {
			step := draw(dice)
			mine, twin := step.run(w.client, w.share), step.run(other, theirs)
			story = append(story, fmt.Sprintf("%s: %s", step.name, mine))
			if mine != twin {
				t.Fatalf("seed %d, %s: %s, OpenSSH says %s\n%s", seed, step.name, mine, twin, strings.Join(story, "\n"))
			}
		}
		if mine, twin := shape(t, w.share), shape(t, theirs); mine != twin {
			t.Fatalf("seed %d:\n%s\nOpenSSH:\n%s\nafter\n%s", seed, mine, twin, strings.Join(story, "\n"))
		}
	}
}

// shape is state without times that nobody set, and with names of the two shares made equal.
func shape(t *testing.T, directory string) string {
	var lines []string
	for line := range strings.Lines(state(t, directory)) {
		fields := strings.Split(line, ",")
		if !strings.HasPrefix(fields[1], " 978307200") {
			fields[1] = "," + fields[1][strings.Index(fields[1], `"`)-1:]
		}
		lines = append(lines, strings.Join(fields, ","))
	}
	return strings.ReplaceAll(strings.Join(lines, ""), directory, "SHARE")
}

type step struct {
	name string
	run  func(c *sftp.Client, share string) string
}

func draw(dice *rand.Rand) step {
	names := []string{"a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "none/x", "a/x", "d/..", "d/.", strings.Repeat("n", 256)}
	kinds := []string{"write", "read", "exclusive", "mkdir", "remove", "rmdir", "rename", "posix", "link", "symlink", "readlink", "lstat", "list", "chmod", "times", "truncate"}
	kind, one, two := kinds[dice.IntN(len(kinds))], names[dice.IntN(len(names))], names[dice.IntN(len(names))]
	mode := os.FileMode(dice.IntN(0o1000))
	return step{fmt.Sprintf("%s %.20s %.20s", kind, one, two), func(c *sftp.Client, share string) string {
		result := act(c, kind, share+"/"+one, share+"/"+two, mode|0o700)
		return strings.ReplaceAll(result, share, "SHARE")
	}}
}

func act(c *sftp.Client, kind, p, q string, mode os.FileMode) (result string) {
	ofLink := false
	if info, err := c.Lstat(p); err == nil {
		ofLink = info.Mode()&os.ModeSymlink != 0
	}
	if info, err := c.Lstat(q); err == nil && info.Mode()&os.ModeSymlink != 0 && kind == "rename" {
		return "onto a link" // OpenSSH's takes the place of one that leads nowhere
	}
	var err error
	switch kind {
	case "write", "exclusive", "read":
		if ofLink {
			return "a link"
		}
		flags := map[string]int{"write": os.O_RDWR | os.O_CREATE, "exclusive": os.O_RDWR | os.O_CREATE | os.O_EXCL, "read": os.O_RDONLY}[kind]
		var f *sftp.File
		if f, err = c.OpenFile(p, flags); err != nil {
			break
		}
		defer f.Close()
		if kind != "read" {
			if _, err = f.WriteAt([]byte(q), int64(mode)%7); err == nil {
				err = f.Chmod(mode)
			}
			break
		}
		var text []byte
		text, err = io.ReadAll(f)
		result = string(text)
	case "mkdir":
		if err = c.Mkdir(p); err == nil {
			err = c.Chmod(p, mode)
		}
	case "remove":
		err = c.Remove(p)
	case "rmdir":
		err = c.RemoveDirectory(p)
	case "rename":
		err = c.Rename(p, q)
	case "posix":
		err = c.PosixRename(p, q)
	case "link":
		err = c.Link(p, q)
	case "symlink":
		err = c.Symlink("nowhere/"+filepath.Base(q), p)
	case "readlink":
		result, err = c.ReadLink(p)
	case "lstat":
		var info os.FileInfo
		if info, err = c.Lstat(p); err == nil {
			result = fmt.Sprint(info.Mode(), info.IsDir() || info.Size() >= 0)
		}
	case "list":
		if ofLink {
			return "a link"
		}
		var infos []os.FileInfo
		infos, err = c.ReadDir(p)
		result = fmt.Sprint(len(infos))
	default:
		if ofLink {
			return "a link"
		}
		switch kind {
		case "chmod":
			err = c.Chmod(p, mode)
		case "times":
			err = c.Chtimes(p, time.Unix(978307200, 0), time.Unix(978307200, 0))
		case "truncate":
			err = c.Truncate(p, int64(mode)%13)
		}
	}
	if err != nil && slices.Contains([]string{"rename", "posix", "link"}, kind) { // of two names that are wrong either may be told first
		return "failed"
	}
	var status *sftp.StatusError // its text is the server's own
	if errors.As(err, &status) {
		return fmt.Sprint("code ", status.FxCode())
	}
	if err != nil {
		return strings.TrimPrefix(err.Error(), "sftp: ")
	}
	return result + " ok"
}
