package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
	"hafs/lib/replication/watch"
)

// world is a share with one replica, watched and mirrored by the real parts in this process.
type world struct {
	t       *testing.T
	kind    string // directory, sshfs, rsync or stream
	share   string
	replica string // as seen from the inside, behind the mount
	root    *tree.Root
	mirror  *Mirror
	made    Transport               // the way to the replica, when it is not that of its kind
	more    map[string]Transport    // further replicas, which are not compared
	quiet   bool                    // log nothing
	before  func(step string) error // asked before every step that changes the replica
	parts   Parts                   // of comparisons by a stream
	pace    Pace
	logged  *logged                  // takes the log, when set
	far     atomic.Pointer[net.Conn] // the receiver's end of the newest stream
}

// worlds runs a test once for each way to a replica.
func worlds(t *testing.T, play func(t *testing.T, w *world)) {
	for _, kind := range []string{"directory", "sshfs", "rsync", "stream"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			w.run()
			play(t, w)
		})
	}
}

const testMarker = "cluster: test\n"

func newWorld(t *testing.T, kind string) *world {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: owners are replicated")
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("needs rsync: ", err)
	}
	dir := t.TempDir()
	w := &world{t: t, kind: kind, share: filepath.Join(dir, "share"), replica: filepath.Join(dir, "replica")}
	for _, d := range []string{w.share, w.replica} {
		must(t, os.Mkdir(d, 0o755))
		must(t, os.WriteFile(filepath.Join(d, change.Marker), []byte(testMarker), 0o644))
	}
	root, err := tree.Open(w.share)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	w.root = root
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) log() zerolog.Logger {
	if w.logged != nil {
		return zerolog.New(w.logged)
	}
	if testing.Verbose() && !w.quiet {
		return zerolog.New(zerolog.NewTestWriter(w.t))
	}
	return zerolog.Nop()
}

// transport makes the way to the replica.
func (w *world) transport() Transport {
	w.t.Helper()
	if w.made != nil {
		return w.made
	}
	switch w.kind {
	case "rsync":
		return &Rsync{Share: w.root, Target: w.replica + "/", Log: w.log()}
	case "stream":
		return w.to(w.replica)
	case "sshfs":
		return &Directory{Share: w.root, Path: mountSSHFS(w.t, w.replica), Workers: DefaultWorkers, Sync: true, Log: w.log()}
	}
	return w.to(w.replica)
}

// to makes the way to a directory of this machine.
func (w *world) to(replica string) Transport {
	if w.kind == "stream" {
		return w.stream(&stream.Receiver{Path: replica, Cluster: "test", Redo: replica + "-state/redo", Before: w.before, Log: w.log()})
	}
	return &Directory{Share: w.root, Path: replica, Workers: DefaultWorkers, Sync: true, Before: w.before, Log: w.log()}
}

// local are the kinds that write the replica in this process.
func local(t *testing.T, play func(t *testing.T, w *world)) {
	for _, kind := range []string{"directory", "stream"} {
		t.Run(kind, func(t *testing.T) { play(t, newWorld(t, kind)) })
	}
}

// stream makes a stream to a receiver in this process.
func (w *world) stream(r *stream.Receiver) *Stream {
	return &Stream{Share: w.root, Open: w.dial(r), Cluster: "test", Self: "here", Sync: true, Parts: w.parts, Log: w.log()}
}

// dial opens pipes to a receiver. It has ended when the test has.
func (w *world) dial(r *stream.Receiver) func(context.Context) (io.ReadWriteCloser, error) {
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	w.t.Cleanup(func() { stop(); serving.Wait() })
	return func(context.Context) (io.ReadWriteCloser, error) {
		here, there := net.Pipe()
		w.far.Store(&there)
		serving.Go(func() { _ = r.Serve(ctx, "L1", there) })
		return here, nil
	}
}

// mountSSHFS mounts a directory by sshfs, with a server of this process's own program on the other end of a pipe instead of ssh.
func mountSSHFS(t *testing.T, dir string) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("needs FUSE: ", err)
	}
	if _, err := exec.LookPath("sshfs"); err != nil {
		t.Skip("needs sshfs: ", err)
	}
	mount, script := t.TempDir(), filepath.Join(t.TempDir(), "server")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\ntest -z \"$HAFS_TEST_PID_FILE\" || echo $$ > \"$HAFS_TEST_PID_FILE\"\n"+serve(dir)), 0o755))
	out, err := sshfs(script, dir, mount)
	if err != nil {
		t.Skipf("sshfs does not mount here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("fusermount3", "-u", "-z", mount).Run() })
	return mount
}

// serve is the command of a shell that becomes a server of a directory.
func serve(dir string) string {
	return "HAFS_TEST_SFTP_DIRECTORY=" + dir + " exec " + os.Args[0] + "\n"
}

func sshfs(script, dir, mount string) ([]byte, error) {
	const options = "dir_cache=no,entry_timeout=0,attr_timeout=0,no_contain_symlinks,ssh_command="
	return exec.Command("sshfs", "-o", options+script, "here:"+dir, mount).CombinedOutput()
}

// remountSSHFS mounts a directory again where it was.
func remountSSHFS(t *testing.T, dir, mount string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "server")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\n"+serve(dir)), 0o755))
	out, err := sshfs(script, dir, mount)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// run starts watch and mirror. They end with the test.
func (w *world) run() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.startMirror(ctx)
	w.watch(w.mirror)
	w.t.Cleanup(func() {
		stop()
		w.mirror.mu.Lock()
		running := w.mirror.replicas
		w.mirror.mu.Unlock()
		for _, r := range running {
			<-r.done
		}
	})
	w.settle()
}

// watch reports to a mirror what is done to its share, until the test ends.
func (w *world) watch(m *Mirror) {
	ctx, stop := context.WithCancel(context.Background())
	watcher := watch.Watcher{Share: m.Share.Name, Root: m.Share, Open: watch.Inotify, Settle: time.Millisecond, Log: w.log()}
	done := make(chan error, 1)
	go func() {
		done <- watcher.Run(ctx, func(changes []change.Change) error {
			for _, c := range changes {
				m.Report(c)
			}
			return nil
		})
	}()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Error("watch:", err)
		}
	})
}

func (w *world) startMirror(ctx context.Context) {
	transports := map[string]Transport{"r": w.transport()}
	wanted := []Wanted{{"r", DirectoryTransport, w.replica}}
	for name, transport := range w.more {
		transports[name] = transport
		wanted = append(wanted, Wanted{name, DirectoryTransport, name})
	}
	if w.pace.Every == 0 {
		w.pace.Every = time.Hour
	}
	w.mirror = &Mirror{Share: w.root, Transport: func(want Wanted) Transport { return transports[want.Name] }, Pace: w.pace, Log: w.log()}
	w.mirror.Start(ctx)
	w.mirror.Keep(1, wanted)
}

// settle waits until everything that was done to the share is on the replica, and demands that the replica is identical.
func (w *world) settle() {
	w.t.Helper()
	if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
		w.t.Fatalf("barrier: %+v", a)
	}
	// Taking the barrier's mark away changed the time of the share itself; that is reported behind it.
	eventually(w.t, func() error {
		if lines := w.differences(); lines != "" {
			return fmt.Errorf("the replica differs:\n%s", lines)
		}
		return nil
	})
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// differences asks rsync what it would still do.
func (w *world) differences() string {
	w.t.Helper()
	args := []string{"-n", "-a", "-H", "-c", "--itemize-changes", "--delete", "--exclude=" + change.CookiePrefix + "*"}
	if w.kind != "sshfs" {
		args = append(args, "-@-1", "-A", "-X")
	}
	if w.kind != "rsync" { // which copies special files too
		args = append(args, "--no-D")
	}
	out, err := exec.Command("rsync", append(args, w.share+"/", w.replica+"/")...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "skipping non-regular file") || w.kind == "sshfs" && strings.HasPrefix(line, ".L") { // owner and time of links do not pass sshfs
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// path is a path in the share.
func (w *world) path(path string) string { return filepath.Join(w.share, path) }

// sh runs shell commands in the share.
func (w *world) sh(script string) {
	w.t.Helper()
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = w.share
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// behind runs shell commands in the replica.
func (w *world) behind(script string) {
	w.t.Helper()
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = w.replica
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}
