package role

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/system"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file that was changed so many minutes ago.
func put(t *testing.T, path, text string, minutes int) {
	t.Helper()
	at := time.Now().Add(-time.Duration(minutes) * time.Minute)
	must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, at, at)))
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// What was kept aside is compared with what the copy has now: what is the same is no news, and everything else is named with what is in its place.
func TestWhatIsLeftOfWhatWasKeptAside(t *testing.T) {
	aside, copied := t.TempDir(), t.TempDir()
	both := func(name, kept, has string, minutesKept, minutesHas int) {
		put(t, filepath.Join(aside, name), kept, minutesKept)
		put(t, filepath.Join(copied, name), has, minutesHas)
	}
	both("d/same", "text", "text", 9, 1)
	both("d/deep/same", "", "", 9, 9)
	both("older", "was", "is now", 9, 1)
	both("other", "mine", "yours", 1, 9)
	both("private", "text", "text", 9, 1)
	must(t, os.Chmod(filepath.Join(copied, "private"), 0o600))
	put(t, filepath.Join(aside, "a\nb"), "", 1)
	put(t, filepath.Join(aside, "e/gone"), "text", 1)
	put(t, filepath.Join(aside, "folder"), "text", 1)
	must(t, os.Mkdir(filepath.Join(copied, "folder"), 0o755))
	put(t, filepath.Join(aside, "was-a-folder/f"), "text", 1)
	put(t, filepath.Join(copied, "was-a-folder"), "", 1)
	// A link in the copy leads nowhere else: the file that is there is not the share's.
	outside := t.TempDir()
	put(t, filepath.Join(outside, "f"), "text", 1)
	put(t, filepath.Join(aside, "led-out/f"), "text", 1)
	must(t, os.Symlink(outside, filepath.Join(copied, "led-out")))
	for name, to := range map[string]string{"link-same": "a", "link-other": "b"} {
		must(t, os.Symlink(to, filepath.Join(aside, name)))
		must(t, os.Symlink("a", filepath.Join(copied, name)))
	}
	must(t, errors.Join(unix.Mkfifo(filepath.Join(aside, "pipe"), 0o644), unix.Mkfifo(filepath.Join(copied, "pipe"), 0o644)))

	// Whatever names programs give, and wherever their links lead.
	put(t, filepath.Join(aside, "caf\xe9"), "text", 1)
	put(t, filepath.Join(aside, "loop/f"), "text", 1)
	must(t, os.Symlink("loop", filepath.Join(copied, "loop")))

	list, err := sift(system.Machine{}, aside, copied)
	must(t, err)
	const want = `only a\nb
only caf\xe9
only e/gone
other folder
only led-out/f
other link-other
only loop/f
older older
other other
older private
only was-a-folder/f
`
	if got := strings.ReplaceAll(string(list), "older link-other", "other link-other"); strings.ReplaceAll(got, "older folder", "other folder") != want {
		t.Errorf("%s", got)
	}
	for _, name := range []string{"d", "link-same", "pipe"} {
		if !absent(filepath.Join(aside, name)) {
			t.Errorf("%s is the same in the share and was not dropped", name)
		}
	}
	for _, name := range []string{"a\nb", "e/gone", "folder", "caf\xe9", "led-out/f", "link-other", "loop/f", "older", "other", "private", "was-a-folder/f"} {
		if absent(filepath.Join(aside, name)) {
			t.Errorf("%s is lost", name)
		}
	}
}

// returned is a server that comes back with a copy, and the share it is brought up to date from, by the real rsync.
func returned(t *testing.T) (k *Keeper, r record.Record, copied, share string) {
	t.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("needs rsync: ", err)
	}
	copied, share = t.TempDir(), t.TempDir()
	bin := t.TempDir()
	must(t, os.Symlink(rsync, filepath.Join(bin, "rsync")))
	must(t, os.WriteFile(filepath.Join(bin, "hafs-dial"), []byte("#!/bin/sh\nshift\nexec $(echo \"$*\" | sed 's|"+copied+"/$|"+share+"/|')\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, dir := range []string{copied, share} {
		put(t, filepath.Join(dir, gate.Marker), "cluster: test\n", 9)
	}
	k = &Keeper{Settings: config.Settings{Name: "X1", StateDirectory: t.TempDir()}, Log: zerolog.Nop()}
	r = record.Record{Cluster: "test", Generation: 7, DataDirectory: copied, FS: record.FileServer{Name: "L1", SharedArea: share}}
	return k, r, copied, share
}

func TestServerThatComesBackWithFilesOfItsOwn(t *testing.T) {
	k, r, copied, share := returned(t)
	put(t, filepath.Join(copied, "mine"), "mine", 9)
	put(t, filepath.Join(copied, "both"), "before", 9)
	put(t, filepath.Join(copied, "touched"), "same", 9)
	put(t, filepath.Join(share, "touched"), "same", 1)
	put(t, filepath.Join(share, "both"), "after", 1)
	put(t, filepath.Join(share, "new"), "new", 1)
	must(t, k.pull(t.Context(), r))
	list, err := os.ReadFile(k.asideIn(7) + ".list")
	if want := "older both\nonly mine\n"; err != nil || string(list) != want {
		t.Errorf("the list is %q, want %q: %v", list, want, err)
	}
	if k.aside(7) != "" || k.aside(0) != k.asideIn(7) {
		t.Errorf("said while it goes on: %q, afterwards: %q", k.aside(7), k.aside(0))
	}
	// What the finding says to do.
	must(t, exec.Command("rm", "-r", k.asideIn(7), k.asideIn(7)+".list").Run())
	if got := k.aside(0); got != "" {
		t.Errorf("removed, and still said: %s", got)
	}
}

// A second attempt finds in the copy what the first one took from the share. What this server had of its own stays.
func TestSecondAttemptLeavesWhatTheFirstKeptAside(t *testing.T) {
	k, r, copied, share := returned(t)
	put(t, filepath.Join(copied, "f"), "its own", 9)
	put(t, filepath.Join(copied, "g"), "its own", 9)
	put(t, filepath.Join(share, "f"), "one", 5)
	put(t, filepath.Join(share, "g"), "one", 5)
	must(t, k.pull(t.Context(), r))
	put(t, filepath.Join(share, "f"), "two", 1)
	put(t, filepath.Join(share, "g"), "its own", 1) // the share has it now
	put(t, filepath.Join(share, "h"), "h", 1)
	must(t, k.pull(t.Context(), r))
	text, err := os.ReadFile(filepath.Join(k.asideIn(7), "f"))
	if string(text) != "its own" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if list, err := os.ReadFile(k.asideIn(7) + ".list"); err != nil || string(list) != "older f\n" {
		t.Errorf("%q %v", list, err)
	}
	if !absent(k.asideIn(7) + ".new") {
		t.Error("the attempt is left")
	}
}

// An attempt that is broken off has its part in the next one's list.
func TestAttemptThatIsBrokenOff(t *testing.T) {
	k, r, copied, _ := returned(t)
	put(t, filepath.Join(copied, "f"), "its own", 9)
	ended, end := context.WithCancel(t.Context())
	end()
	if k.pull(ended, r) == nil {
		t.Fatal("it went on")
	}
	put(t, filepath.Join(k.asideIn(7)+".new", "f"), "its own", 9)
	must(t, os.Remove(filepath.Join(copied, "f")))
	must(t, k.pull(t.Context(), r))
	if list, err := os.ReadFile(k.asideIn(7) + ".list"); err != nil || string(list) != "only f\n" {
		t.Errorf("%q %v", list, err)
	}
}

// What attempts of earlier generations kept aside, which a crash or a newer generation broke off, is listed by the next one that comes to its end.
func TestAttemptOfAnEarlierGenerationThatWasBrokenOff(t *testing.T) {
	k, r, copied, share := returned(t)
	put(t, filepath.Join(copied, "mine"), "mine", 9)
	put(t, filepath.Join(share, "f"), "text", 9)
	put(t, filepath.Join(copied, "f"), "text", 9)
	put(t, filepath.Join(k.asideIn(4), "of4"), "text", 9)
	put(t, k.asideIn(4)+".list", "only of4\n", 9)
	put(t, filepath.Join(k.asideIn(5), "of5"), "text", 9) // broken off before it was listed
	put(t, filepath.Join(k.asideIn(6), "of6"), "text", 9)
	put(t, k.asideIn(6)+".list", "only of6\n", 9)
	put(t, filepath.Join(k.asideIn(6)+".new", "more"), "text", 9)
	put(t, filepath.Join(k.asideIn(3)+".new", "f"), "text", 9) // the share has it
	must(t, k.pull(t.Context(), r))
	for n, want := range map[uint64]string{3: "", 4: "only of4\n", 5: "only of5\n", 6: "only more\nonly of6\n", 7: "only mine\n"} {
		list, _ := os.ReadFile(k.asideIn(n) + ".list")
		if string(list) != want || !absent(k.asideIn(n)+".new") || absent(k.asideIn(n)) != (want == "") {
			t.Errorf("%d: %q, want %q", n, list, want)
		}
	}
}

// What was kept aside is moved nowhere but where this is kept, whatever links are in it.
func TestLinkInWhatWasKeptAside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "7.new/d/f"), "text", 1)
	must(t, os.Mkdir(filepath.Join(dir, "7"), 0o700))
	must(t, os.Symlink(outside, filepath.Join(dir, "7/d")))
	must(t, gather(system.Machine{}, filepath.Join(dir, "7.new"), filepath.Join(dir, "7")))
	if !absent(filepath.Join(outside, "f")) {
		t.Error("it was moved out")
	}
}

// Nothing is left: nothing is said.
func TestNothingIsLeftOfWhatWasKeptAside(t *testing.T) {
	k, r, copied, share := returned(t)
	put(t, filepath.Join(k.asideIn(7), "d/f"), "text", 9)
	put(t, k.asideIn(7)+".list", "only d/f\n", 9)
	put(t, filepath.Join(copied, "d/f"), "text", 1)
	put(t, filepath.Join(share, "d/f"), "text", 1)
	must(t, k.pull(t.Context(), r))
	if !absent(k.asideIn(7)) || !absent(k.asideIn(7)+".list") || k.aside(0) != "" {
		t.Errorf("%s is still there", k.aside(0))
	}
}

// The newest of several, and when that is removed the one before.
func TestSeveralFoldersKeptAside(t *testing.T) {
	k := &Keeper{Settings: config.Settings{StateDirectory: t.TempDir()}}
	for _, name := range []string{"9/f", "10/f", "10.list", "11.new/f", "lost+found/f"} {
		put(t, filepath.Join(k.Settings.State("divergent"), name), "", 1)
	}
	for _, want := range []string{k.asideIn(10), k.asideIn(9), ""} {
		got := k.aside(0)
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
		must(t, os.RemoveAll(got))
	}
}
