package mirror

import (
	"bytes"
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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// What a replica holds: each row of the table in docs/fidelity.md, for each transport. See testdata/fidelity.
func TestWhatAReplicaHolds(t *testing.T) {
	text, err := os.ReadFile("testdata/fidelity/rows.txt")
	must(t, err)
	needXattrs(t)
	t.Parallel()
	worlds(t, func(t *testing.T, w *world) {
		for _, row := range strings.Split(string(text), "\n== ")[1:] {
			name, script, _ := strings.Cut(row, "\n")
			ok := t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				defer func(outer *testing.T) { w.t = outer }(w.t)
				w.t = t
				if strings.Contains(name, "[not "+w.kind+"]") {
					t.Skip("a limit of this transport, see the table in docs/fidelity.md")
				}
				for line := range strings.Lines(script) {
					w.hold(strings.TrimSpace(line))
				}
				w.mirror.Report(change.Change{Kind: change.Rescan, Path: "."}) // which must not undo anything
				w.settle()
				w.sh("find . -mindepth 1 -maxdepth 1 ! -name .hafs-share -exec rm -rf {} +")
				w.settle()
			})
			if !ok { // what it left would be in the way
				t.FailNow()
			}
		}
	})
}

// needXattrs skips where attributes, ACLs or the programs that set them cannot be had.
func needXattrs(t *testing.T) {
	t.Helper()
	for _, program := range []string{"setfattr", "getfattr", "setfacl", "getfacl", "setcap", "getcap", "fallocate"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs ", program, ": ", err)
		}
	}
	f := filepath.Join(t.TempDir(), "probe")
	must(t, os.WriteFile(f, nil, 0o644))
	for name, value := range map[string][]byte{"user.x": nil, "trusted.x": nil, "system.posix_acl_access": acl(1, 4)} {
		if err := unix.Setxattr(f, name, value, 0); err != nil {
			t.Skipf("the file system of %s takes no %s: %v", f, name, err)
		}
	}
}

// hold carries out one line of a row.
func (w *world) hold(line string) {
	w.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "":
		return
	case "share":
		w.sh(rest)
		return
	case "settle":
		w.settle()
		return
	}
	kinds, command, _ := strings.Cut(rest, " ")
	if kinds != "all" && !strings.Contains(","+kinds+",", ","+w.kind+",") {
		return
	}
	switch verb {
	case "replica":
		w.behind(command)
	case "same", "other":
		share, replica := said(w.share, command), said(w.replica, command)
		if (share == replica) != (verb == "same") {
			w.t.Errorf("%s: the share says\n%s\nand the replica\n%s", command, share, replica)
		}
	default:
		w.t.Fatalf("unknown verb %q", verb)
	}
}

// said is what a command says in a directory.
func said(dir, command string) string {
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return fmt.Sprint(string(out), err)
}

// logged is a log for tests.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// count says how often something was logged.
func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// FIFOs, sockets and devices are named once in the log and left out, and what was in their place goes; rsync copies them.
func TestSpecialFilesAreNamed(t *testing.T) {
	for _, kind := range []string{"directory", "sshfs", "rsync", "stream"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			w.logged = &logged{}
			w.run()
			w.sh("echo x > fifo; echo x > device; echo x > socket; echo x > f")
			w.settle()
			w.sh("rm fifo device socket; mkfifo fifo; mknod device c 1 3")
			l, err := net.Listen("unix", w.path("socket"))
			must(t, err)
			defer l.Close()
			w.settle()
			w.sh("chmod 600 fifo device socket")
			w.settle()
			for _, name := range []string{"fifo", "device", "socket"} {
				st, err := os.Lstat(filepath.Join(w.replica, name))
				if kind == "rsync" {
					if err != nil || st.Mode().IsRegular() {
						t.Errorf("%s is %v, %v", name, st, err)
					}
					continue
				}
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is there: %v", name, st)
				}
				if n := w.logged.count(fmt.Sprintf(`"path":"%s","message":"not replicated: a FIFO, socket or device"`, name)); n != 1 {
					t.Errorf("%s was named %d times", name, n)
				}
			}
		})
	}
}

// A file that grows without end holds up nothing, and what is copied of it is whole.
func TestFileThatGrowsWithoutEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		f, err := os.Create(w.path("growing"))
		must(t, err)
		defer f.Close()
		block := bytes.Repeat([]byte("line\n"), 10_000)
		_, err = f.Write(block)
		must(t, err)
		stop, ended := make(chan struct{}), make(chan error)
		go func() {
			for {
				select {
				case <-stop:
					ended <- nil
					return
				case <-time.After(time.Millisecond): // or it would fill the disk
				}
				if _, err := f.Write(block); err != nil {
					ended <- err
					return
				}
			}
		}()
		for range 3 {
			w.sh("date +%N > other")
			if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
				t.Errorf("barrier while a file grows: %+v", a)
			}
			if st, err := os.Stat(filepath.Join(w.replica, "growing")); err != nil || st.Size() == 0 {
				t.Errorf("the replica has %v, %v", st, err)
			}
		}
		close(stop)
		must(t, <-ended)
		w.settle()
	})
}

// growing is a sink that makes the file longer with every piece that is read of it.
type growing struct {
	file *os.File
	size int64
}

func (g *growing) Write(b []byte) (int, error) {
	if g.size += int64(len(b)); g.size > 1<<20 { // a mistake must not fill the disk
		return 0, errors.New("it goes on and on")
	}
	_, err := g.file.Write(make([]byte, 2*len(b)))
	return len(b), err
}

func (g *growing) Hole(int64) error { return errors.New("no hole was made") }
func (g *growing) Again() error     { g.size = 0; return nil }

func TestCopyEndsWhereTheFileEndedWhenItBegan(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(strings.Repeat("x", 1000))
	must(t, err)
	from, err := os.Open(f.Name())
	must(t, err)
	defer from.Close()
	into := &growing{file: f}
	e, _, err := copyStable(from, into, func() {})
	must(t, err)
	if want := int64(1000 * 3 * 3); e.Size != want || into.size != want { // three copies, each of what there was at its beginning
		t.Errorf("%d bytes were copied as a file of %d, not %d", into.size, e.Size, want)
	}
}

// What is written through a mapping is told to nobody. It is found by a comparison of everything once the file's time shows it, which is set when
// a clean page is first written to; what is written to a page that is still dirty shows only in the content.
func TestWrittenThroughAMapping(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		w.sh("mkdir d; head -c 100000 /dev/urandom > d/mapped; touch -d '1 hour ago' d/mapped; sync d/mapped")
		w.settle()
		f, err := os.OpenFile(w.path("d/mapped"), os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		memory, err := unix.Mmap(int(f.Fd()), 0, 100_000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		defer unix.Munmap(memory)
		same := func() bool { return said(w.share, "cksum d/mapped") == said(w.replica, "cksum d/mapped") }

		copy(memory[50_000:], "written")
		w.sh("echo x > other")
		if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
			t.Fatalf("%+v", a)
		}
		if same() {
			t.Error("it was reported after all: then this test and the page of limits should say so")
		}
		must(t, unix.Msync(memory, unix.MS_SYNC))
		if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK || same() {
			t.Errorf("msync was reported after all: %+v", a)
		}
		w.mirror.Report(change.Change{Kind: change.Rescan, Path: "."})
		w.settle()
		if !same() {
			t.Error("a comparison of everything did not find it")
		}
	})
}

// A page that is still dirty when it was copied may change without a trace; to verify is to read.
func TestWrittenThroughAMappingTwice(t *testing.T) {
	local(t, func(t *testing.T, w *world) {
		w.run()
		w.sh("head -c 100000 /dev/urandom > mapped; sync mapped")
		w.settle()
		f, err := os.OpenFile(w.path("mapped"), os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		memory, err := unix.Mmap(int(f.Fd()), 0, 100_000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		defer unix.Munmap(memory)
		copy(memory, "one")
		w.mirror.Report(change.Change{Kind: change.Rescan, Path: "."})
		w.settle()
		copy(memory, "two")
		found, err := w.verify()
		must(t, err)
		if len(found) != 1 || found[0].Path != "mapped" || !strings.Contains(found[0].Reason, "content") {
			t.Errorf("found %v", found)
		}
	})
}

// verify compares by content.
func (w *world) verify() ([]Difference, error) {
	if w.kind == "stream" { // only one session works on a replica
		a := w.mirror.verify()
		if !a.OK {
			return nil, fmt.Errorf("verify: %v", a.Lagging)
		}
		return a.Differences["r"], nil
	}
	d := &Directory{Share: w.root, Path: w.replica, Workers: DefaultWorkers, Log: w.log()}
	defer d.Close()
	return d.Verify(w.t.Context())
}

// Attributes of more than 256 KiB: the file is named and not copied, an older version stays; of a directory the attributes are left out. Once it
// has less it is copied.
func TestTooManyAttributes(t *testing.T) {
	needTmpfs(t)
	t.Setenv("TMPDIR", "/dev/shm") // ext4 has no room for so many
	local(t, func(t *testing.T, w *world) {
		w.logged = &logged{}
		w.run()
		w.sh("echo old > f; mkdir d; echo x > d/g")
		w.settle()
		for i := range 5 {
			for _, name := range []string{"f", "d"} {
				must(t, unix.Setxattr(w.path(name), fmt.Sprintf("trusted.%d", i), bytes.Repeat([]byte("v"), 60<<10), 0))
			}
		}
		w.sh("echo new > f; echo y > d/h; touch other")
		for range 2 {
			if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
				t.Fatalf("%+v", a)
			}
			w.mirror.Report(change.Change{Kind: change.Rescan, Path: "."})
		}
		if got := said(w.replica, "cat f d/g d/h"); got != "old\nx\ny\n<nil>" {
			t.Errorf("the replica has %q", got)
		}
		for _, name := range []string{"f", "d"} {
			if n := w.logged.count(fmt.Sprintf(`"path":"%s","message":"not replicated: more than 256 KiB of extended attributes"`, name)); n != 1 {
				t.Errorf("%s was named %d times", name, n)
			}
		}
		eventually(t, func() error { // that the barrier's mark is gone is reported behind it
			found, err := w.verify()
			if want := "[xattrs d content+time+xattrs f]"; err != nil || fmt.Sprint(found) != want {
				return fmt.Errorf("verified: %v, %v, not %s", found, err, want)
			}
			return nil
		})
		w.sh("setfattr -x trusted.0 f; setfattr -x trusted.1 f; setfattr -x trusted.0 d")
		w.settle()
		if a, b := said(w.share, "getfattr -d -m - f d"), said(w.replica, "getfattr -d -m - f d"); a != b {
			t.Errorf("%d bytes of attributes arrived of %d", len(b), len(a))
		}
	})
}

func needTmpfs(t *testing.T) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("needs a tmpfs at /dev/shm, which takes large attributes: ", err)
	}
}

// Attributes that the replica's file system does not take are named once, and the rest is replicated.
func TestReplicaThatTakesNoSuchAttribute(t *testing.T) {
	local(t, func(t *testing.T, w *world) {
		needXattrs(t)
		w.logged = &logged{}
		refusing := true
		w.before = func(step string) error {
			if refusing && step == "set attribute" {
				return unix.EOPNOTSUPP
			}
			return nil
		}
		w.run()
		w.sh("for i in 1 2 3; do echo $i > f$i; setfattr -n user.a -v 1 f$i; done; mkdir d; setfattr -n user.a -v 1 d")
		for range 2 {
			if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
				t.Fatalf("%+v", a)
			}
			w.mirror.Report(change.Change{Kind: change.Rescan, Path: "."})
		}
		if got := said(w.replica, "cat f1 f2 f3; getfattr -d -m - f1 d"); got != "1\n2\n3\n<nil>" {
			t.Errorf("the replica has %q", got)
		}
		if n := w.logged.count("does not take extended attributes"); n != 1 {
			t.Errorf("named %d times", n)
		}
		if s := w.mirror.Status(); s.Replicas[0].Failures > 0 {
			t.Errorf("%+v", s.Replicas[0])
		}
		if found, err := w.verify(); err != nil || len(found) != 4 {
			t.Errorf("verified: %v, %v", found, err)
		}
	})
}

// ext4 has room for 4 KiB of attributes and says that the disk is full: it is not, and the replica goes on.
func TestAttributeTooLargeForTheReplica(t *testing.T) {
	needTmpfs(t)
	t.Setenv("TMPDIR", "/dev/shm")
	local(t, func(t *testing.T, w *world) {
		replica, err := os.MkdirTemp("/var/tmp", "hafs-test-")
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(replica) })
		must(t, os.WriteFile(filepath.Join(replica, change.Marker), []byte(testMarker), 0o644))
		large := bytes.Repeat([]byte("v"), 60<<10)
		if err := unix.Setxattr(replica, "trusted.probe", large, 0); !errors.Is(err, unix.ENOSPC) {
			t.Skip("needs a file system at /var/tmp that has no room for large attributes, as ext4: ", err)
		}
		w.replica, w.logged = replica, &logged{}
		w.run()
		w.sh("echo x > f; echo y > g; setfattr -n user.small -v 1 f")
		must(t, unix.Setxattr(w.path("f"), "trusted.large", large, 0))
		w.sh("echo z > h")
		if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
			t.Fatalf("%+v", a)
		}
		if got := said(w.replica, "cat f g h; getfattr -d -m - f"); got != "x\ny\nz\n# file: f\nuser.small=\"1\"\n\n<nil>" {
			t.Errorf("the replica has %q", got)
		}
		if n := w.logged.count(`"attribute":"trusted.large"`); n != 1 {
			t.Errorf("named %d times", n)
		}
		if s := w.mirror.Status().Replicas[0]; s.Failures > 0 || s.State != Complete {
			t.Errorf("%+v", s)
		}
	})
}

// A gibibyte with one block of data in it travels as a few frames, and so does a change of it.
func TestSparseFileTravelsLight(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	t.Cleanup(s.Close)
	connect, counted := s.Open, &counting{}
	s.Open = func(ctx context.Context) (io.ReadWriteCloser, error) {
		conn, err := connect(ctx)
		counted.ReadWriteCloser = conn
		return counted, err
	}
	w.sh("truncate -s 1G f; echo x | dd of=f seek=512M bs=1 conv=notrunc status=none")
	must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Rescan, Path: "."}}))
	first := counted.n
	w.sh("echo y | dd of=f seek=600M bs=1 conv=notrunc status=none")
	must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "f"}}))
	if first > 8<<10 || counted.n-first > 16<<10 {
		t.Errorf("%d and %d bytes were sent", first, counted.n-first)
	}
	w.behind("test $(stat -c %b f) -le 64")
	if lines := w.differences(); lines != "" {
		t.Error(lines)
	}
}

// counting counts what is written to a stream.
type counting struct {
	io.ReadWriteCloser
	n int
}

func (c *counting) Write(b []byte) (int, error) {
	c.n += len(b)
	return c.ReadWriteCloser.Write(b)
}
