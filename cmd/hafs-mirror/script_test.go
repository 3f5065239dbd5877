package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hafs-mirror": main})
}

// built is a folder with both real binaries.
func built(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: owners are replicated")
	}
	dir := t.TempDir()
	for _, name := range []string{"hafs-watch", "hafs-mirror"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "hafs/cmd/"+name).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

func TestScripts(t *testing.T) {
	dir := built(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", dir+":"+env.Getenv("PATH"))
			return nil
		},
	})
}

// The pipe of the two real binaries, random work on the share, one directory and one rsync replica; rsync is the judge (I4).
func TestPipe(t *testing.T) {
	bin, dir := built(t), t.TempDir()
	share, socket := filepath.Join(dir, "share"), filepath.Join(dir, "socket")
	replicas := []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}
	for _, d := range append([]string{share}, replicas...) {
		must(t, os.Mkdir(d, 0o755))
		must(t, os.WriteFile(filepath.Join(d, ".hafs-share"), []byte("cluster: test\n"), 0o644))
	}
	watch := exec.Command(filepath.Join(bin, "hafs-watch"), "--share", share)
	mirror := exec.Command(filepath.Join(bin, "hafs-mirror"), "--share", share, "--to", "one="+replicas[0], "--rsync-to", "two="+replicas[1], "--socket", socket)
	pipe, err := watch.StdoutPipe()
	must(t, err)
	mirror.Stdin = pipe
	var log strings.Builder
	mirror.Stderr = &log
	must(t, mirror.Start())
	must(t, watch.Start())
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // until it listens
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("hafs-mirror does not listen: ", log.String())
		}
	}
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		for range 80 {
			disturb(share, rnd)
		}
		out, err := exec.Command(filepath.Join(bin, "hafs-mirror"), "wait", "--socket", socket, "--timeout", "20s").CombinedOutput()
		if err != nil {
			t.Fatalf("seed %d: wait: %v: %s", seed, err, out)
		}
		for _, replica := range replicas {
			identical(t, seed, share, replica)
		}
	}
	must(t, watch.Process.Signal(os.Interrupt)) // the end of the input ends the mirror
	if err := watch.Wait(); err != nil {
		t.Error("hafs-watch: ", err)
	}
	if err := mirror.Wait(); err != nil {
		t.Errorf("hafs-mirror: %v\n%s", err, log.String())
	}
	if strings.Contains(log.String(), "replica failed") {
		t.Errorf("a replica failed on the way:\n%s", log.String())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// identical asks rsync. The time of the share itself may still be on its way: taking away a barrier's mark changed it.
func identical(t *testing.T, seed uint64, share, replica string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		out, err := exec.Command("rsync", "-n", "-a", "-H", "-c", "-@-1", "--itemize-changes", "--delete", share+"/", replica+"/").CombinedOutput()
		if err == nil && len(out) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("seed %d: %s differs: %v\n%s", seed, replica, err, out)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// disturb does one random thing below a directory; that it may fail does not matter.
func disturb(dir string, rnd *rand.Rand) {
	path := func() string {
		p := dir
		for range 1 + rnd.IntN(3) {
			p = filepath.Join(p, string("abcd"[rnd.IntN(4)]))
		}
		return p
	}
	p := path()
	switch rnd.IntN(8) {
	case 0, 1:
		_ = os.MkdirAll(filepath.Dir(p), 0o755)
		_ = os.WriteFile(p, []byte(fmt.Sprint(rnd.IntN(1000))), 0o644)
	case 2:
		_ = os.MkdirAll(p, 0o755)
	case 3, 4:
		_ = os.Rename(p, path())
	case 5:
		_ = os.RemoveAll(p)
	case 6:
		if st, err := os.Lstat(p); err == nil && st.Mode().IsRegular() {
			_ = os.Link(p, path())
		}
	case 7:
		_ = os.Lchown(p, rnd.IntN(3), 0)
	}
}
