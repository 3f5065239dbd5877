package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"

	wire "hafs/lib/client/sftp"
)

const sftpServer = "/usr/lib/openssh/sftp-server"

// site is a set of servers, each a real sftp-server in a directory of its own, of which one serves.
type site struct {
	t       *testing.T
	mu      sync.Mutex
	serving string // directory
	end     func() // ends the session that is open
	freeze  func() // the session stays open and nothing is answered any more
	opened  int
	relay   *relay
}

func (s *site) connect(ctx context.Context) (io.ReadWriteCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	cmd := exec.Command(sftpServer, "-d", s.serving)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.opened++
	s.end = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	s.freeze = func() { _ = cmd.Process.Signal(syscall.SIGSTOP) }
	return struct {
		io.Reader
		io.WriteCloser
	}{out, in}, nil
}

// sessions counts how often somebody connected.
func (s *site) sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// move makes another directory serve and ends the session of the old one, as a lost server does.
func (s *site) move(directory string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = directory
	s.end()
}

// connect gives the client's end of a relay whose first server is in a directory.
func connect(t *testing.T, first string) (*site, net.Conn) {
	t.Helper()
	if _, err := os.Stat(sftpServer); err != nil {
		t.Skip("needs OpenSSH's sftp-server: ", err)
	}
	s := &site{t: t, serving: first, relay: newRelay()}
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.relay.run(ctx, far, s.connect) }()
	t.Cleanup(func() {
		near.Close()
		cancel()
		<-done
		s.mu.Lock()
		s.end()
		s.mu.Unlock()
	})
	return s, near
}

func start(t *testing.T, first string) (*site, *sftp.Client) {
	t.Helper()
	s, near := connect(t, first)
	client, err := sftp.NewClientPipe(near, near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return s, client
}

func twins(t *testing.T, files map[string]string) (a, b string) {
	t.Helper()
	a, b = t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a, b
}

func TestOpenFileOutlivesItsServer(t *testing.T) {
	a, b := twins(t, map[string]string{"f": "0123456789"})
	s, client := start(t, a)
	f, err := client.OpenFile("f", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 5)
	if _, err := f.ReadAt(part, 0); err != nil || string(part) != "01234" {
		t.Fatal(string(part), err)
	}
	s.move(b)
	if _, err := f.ReadAt(part, 5); err != nil || string(part) != "56789" {
		t.Fatal(string(part), err)
	}
	if _, err := f.WriteAt([]byte("new"), 2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(b, "f")); string(got) != "01new56789" {
		t.Fatal(string(got))
	}
}

func TestWhatWasCarriedOutIsNotAnErrorWhenAskedAgain(t *testing.T) {
	removed := wire.StatusPacket(7, wire.NoSuchFile, "")
	r := newRelay()
	q := &request{packet: wire.NewPacket(wire.Remove, 7, wire.AppendString(nil, "gone")), again: true}
	if p := r.translate(q, removed); p.StatusCode() != wire.OK {
		t.Fatal("a removal that was carried out before fails")
	}
	q.again = false
	if p := r.translate(q, removed); p.StatusCode() != wire.NoSuchFile {
		t.Fatal("a removal of nothing succeeds")
	}
}

// The server changes between two answers of one listing: no name comes twice, none is missing.
func TestListingGoesOnWithoutRepeats(t *testing.T) {
	files := map[string]string{}
	var want []string
	for i := range 500 { // sftp-server gives 100 names an answer
		name := fmt.Sprintf("file-%03d", i)
		files[name] = ""
		want = append(want, name)
	}
	a, b := twins(t, files)
	s, near := connect(t, a)
	ask := func(p wire.Packet) wire.Packet {
		t.Helper()
		if err := wire.WritePacket(near, p); err != nil {
			t.Fatal(err)
		}
		answer, err := wire.ReadPacket(near)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	ask(wire.Packet{wire.Init, 0, 0, 0, 3})
	opened := ask(wire.NewPacket(wire.Opendir, 1, wire.AppendString(nil, ".")))
	if opened.Kind() != wire.Handle {
		t.Fatalf("opendir: type %d", opened.Kind())
	}
	var got []string
	for n := uint32(2); ; n++ {
		answer := ask(wire.NewPacket(wire.Readdir, n, opened.Body()))
		if answer.Kind() != wire.Name {
			if answer.StatusCode() != wire.EOF {
				t.Fatalf("readdir: status %d", answer.StatusCode())
			}
			break
		}
		got = append(got, names(t, answer)...)
		if n == 3 {
			s.move(b)
		}
	}
	got = slices.DeleteFunc(got, func(name string) bool { return name == "." || name == ".." })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%d names, %d different ones, want %d", len(got), len(slices.Compact(got)), len(want))
	}
	if n := s.sessions(); n != 2 {
		t.Fatalf("%d sessions: the server did not change in the middle", n)
	}
}

func names(t *testing.T, p wire.Packet) []string {
	t.Helper()
	count, rest, err := wire.CutUint32(p.Body())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for range count {
		var name string
		if name, rest, err = wire.CutString(rest); err == nil {
			_, rest, err = wire.CutString(rest)
		}
		if err == nil {
			rest, err = wire.CutAttributes(rest)
		}
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, name)
	}
	return found
}

// A client that never stops while the serving directory moves between two twins sees no error and loses no byte of what both have.
func TestClientSeesNoErrorWhileServersChange(t *testing.T) {
	a, b := twins(t, map[string]string{"f": "constant"})
	s, client := start(t, a)
	stop := time.Now().Add(time.Second)
	var moves sync.WaitGroup
	moves.Go(func() {
		for i := 0; time.Now().Before(stop); i++ {
			time.Sleep(20 * time.Millisecond)
			s.move([]string{b, a}[i%2])
		}
	})
	operations := 0
	for time.Now().Before(stop) {
		f, err := client.Open("f")
		if err != nil {
			t.Fatal("open:", err)
		}
		text, err := io.ReadAll(f)
		if err != nil || string(text) != "constant" {
			t.Fatalf("read %q: %v", text, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal("close:", err)
		}
		if _, err := client.Stat("f"); err != nil {
			t.Fatal("stat:", err)
		}
		operations++
	}
	moves.Wait()
	t.Logf("%d rounds over %d sessions", operations, s.sessions())
}
