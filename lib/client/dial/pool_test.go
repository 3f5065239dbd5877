package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"hafs/lib/cluster/record"
	"hafs/lib/host/problem"
	"hafs/lib/host/session"
	"hafs/lib/host/socket"
	"hafs/lib/testkit/networktest"
)

// A connection that is not wanted any more while it is being made has not failed: nobody would ever take such a failure back.
func TestADialThatIsGivenUpIsNoFailure(t *testing.T) {
	p, _ := world(t, nil)
	// A server that accepts and never says a word.
	door, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(p.keeper.Settings.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		if conn, err := door.Accept(); err == nil {
			defer conn.Close()
			giveUp()
			<-t.Context().Done()
		}
	}()
	p.keeper.pool.keeps["M2 127.0.0.2"] = giveUp
	p.keeper.pool.renew(ctx, record.Server{Name: "M2", Address: "127.0.0.2"})
	if text, err := p.keeper.pool.failures.text(); err != nil || string(text) != "{}" {
		t.Errorf("failures: %s, %v", text, err)
	}
}

// What is found out of a connection that the record has just taken back is not said after that: it would stay.
func TestAFailureOfAConnectionThatIsNotKept(t *testing.T) {
	p, _ := world(t, nil)
	pool := p.keeper.pool
	keeping, stop := context.WithCancel(t.Context())
	m2 := record.Server{Name: "M2", Address: "127.0.0.2"}
	pool.keeps["M2 127.0.0.2"] = stop
	pool.note(keeping, m2, session.ErrSmallPackets)
	if failed := pool.failures.now["M2"]; failed.ProblemID != problem.SmallPackets {
		t.Errorf("while it is kept: %+v", failed)
	}
	stop()
	pool.failures.note("M2", nil) // by keep
	pool.note(keeping, m2, session.ErrSmallPackets)
	if text, err := pool.failures.text(); err != nil || string(text) != "{}" {
		t.Errorf("afterwards: %s, %v", text, err)
	}
}

// A peer whose kernel answers and whose sshd does not is asked once, however often the record takes its connection back and asks for it again.
func TestAPeerThatHangs(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	server := &ssh.ServerConfig{NoClientAuth: true}
	server.AddHostKey(signer(t, ""))
	go func() {
		plain, err := door.Accept()
		if err != nil {
			return
		}
		if c, _, _, err := ssh.NewServerConn(plain, server); err == nil { // and answers no request
			defer c.Close()
			<-t.Context().Done()
		}
	}()
	client, err := ssh.Dial("tcp", door.Addr().String(), &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	c := &live{Client: client, ended: make(chan struct{}), full: make(chan struct{}, 1)}
	before := runtime.NumGoroutine()
	for range 9 {
		c.sendFull()
		keeping, stop := context.WithCancel(t.Context())
		stop()
		_ = use(keeping, c)
	}
	if more := runtime.NumGoroutine() - before; more > 1 {
		t.Errorf("%d goroutines wait for it", more)
	}
	client.Close()
	c.full <- struct{}{} // the end of the connection is the end of what was under way
}

// Only what failed twice in the same way is known to: a server that is cut off looks once as if large packets alone were lost.
func TestAFailureThatComesAgain(t *testing.T) {
	small := problem.As(problem.SmallPackets, errors.New("small packets get through, larger ones do not"))
	gone := errors.New("no route to host")
	f := failures{changed: make(chan struct{}, 1)}
	for i, step := range []struct {
		err  error
		want string
	}{
		{small, "small-packets-only false"},
		{gone, " false"},
		{gone, " false"},
		{small, "small-packets-only false"},
		{small, "small-packets-only true"},
		{small, "small-packets-only true"},
		{nil, ""},
		{small, "small-packets-only false"},
	} {
		f.note("M2", step.err)
		got := ""
		if failed, there := f.now["M2"]; there {
			got = fmt.Sprintf("%s %t", failed.ProblemID, failed.Again)
		}
		if got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

// A keeper that ends tells so, and not that something was canceled: the daemon whose session it was says it of the replica.
func TestAKeeperThatEnds(t *testing.T) {
	p, _ := world(t, func(_ string, c ssh.Channel) uint32 {
		_, _ = c.Write([]byte("x"))
		<-t.Context().Done()
		return 0
	})
	path := p.keeper.Settings.Run("another.sock")
	listener, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	running, end := context.WithCancel(t.Context())
	defer end()
	go p.keeper.accept(running, listener)
	s, err := Open(t.Context(), path, "M2", []string{"stream"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	end()
	if _, err = s.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "cancel") || !strings.Contains(err.Error(), "hafs-dial.service ends") {
		t.Errorf("got %v", err)
	}
}

// Over a connection that is there a session may end before it begins: programs wait, and hafs-status has to know why. One that this side ends has not failed.
func TestASessionOfTheShareThatCannotBeOpened(t *testing.T) {
	refuses := true
	p, _ := world(t, func(_ string, c ssh.Channel) uint32 {
		if refuses {
			_, _ = c.Stderr().Write([]byte("hafs-gate: no room for one more\n"))
			return 1
		}
		_, _ = c.Write([]byte("version"))
		<-t.Context().Done()
		return 0
	})
	k := p.keeper
	k.record.FS.Name = "M2"
	open := func() io.ReadWriteCloser {
		t.Helper()
		s, err := k.openShare(t.Context(), k.record, k.changed)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	said := func() string { return k.pool.failures.now[FileServer].Error }
	s := open()
	if _, err := s.Read(make([]byte, 8)); err == nil || said() != "hafs-gate: no room for one more" {
		t.Errorf("read %v, noted %q", err, said())
	}
	refuses = false
	s = open()
	if n, err := s.Read(make([]byte, 8)); n == 0 || said() != "" {
		t.Errorf("read %v, noted %q", err, said())
	}
	s.Close()
	s = open()
	s.Close()
	if _, err := s.Read(make([]byte, 8)); err == nil || said() != "" {
		t.Errorf("read %v, noted %q", err, said())
	}
	k.noteShare(fmt.Errorf("session with M2: %w", context.Canceled))
	if said() != "" {
		t.Errorf("noted %q", said())
	}
}

// A connection that is kept, and over which nothing large was sent since, is found out all the same; and that it works again.
func TestANetworkThatPassesSmallPacketsOnly(t *testing.T) {
	if !networktest.Alone(t) {
		return
	}
	p, _ := world(t, nil)
	pool := p.keeper.pool
	pool.dialer.Full = true
	pool.keep(t.Context(), []record.Server{{Name: "M2", Address: "127.0.0.1"}})
	await := func(what string, is func(f Failure, failed bool) bool) {
		t.Helper()
		begun := time.Now()
		for {
			pool.failures.mu.Lock()
			f, failed := pool.failures.now["M2"]
			pool.failures.mu.Unlock()
			if is(f, failed) {
				t.Logf("%s after %s", what, time.Since(begun))
				return
			}
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("not %s: %+v", what, f)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	await("connected", func(Failure, bool) bool {
		c := pool.entry(record.Server{Name: "M2", Address: "127.0.0.1"})
		c.making.Lock()
		defer c.making.Unlock()
		return c.client != nil
	})
	networktest.DropLarger(t, 1400, p.keeper.Settings.Port)
	await("known", func(f Failure, _ bool) bool { return f.ProblemID == problem.SmallPackets && f.Again })
	networktest.Heal(t)
	await("well again", func(_ Failure, failed bool) bool { return !failed })
}
