package dial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"hafs/lib/host/socket"
)

// maxComplaint bounds what is kept of the command's stderr.
const maxComplaint = 4 << 10

// Open runs a command on a host, as Lend does, for a daemon of this server: what is written is its input, what is read its output. It returns
// before the peer has agreed. A refusal, like any other end, shows when reading: io.EOF after a command that ended well, otherwise what
// the keeper reported and the peer complained of. Close, or the end of ctx, ends the session at once; reads and writes that wait end with it.
func Open(ctx context.Context, socketPath, host string, command []string) (io.ReadWriteCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(call{Host: host, Command: command})
	if err != nil {
		return nil, err
	}
	conn, err := socket.Dial(socketPath)
	if err != nil {
		return nil, fmt.Errorf("hafs-dial.service does not run here: %w", err)
	}
	s := &opened{host: host, conn: conn, ended: make(chan struct{})}
	if err := s.lend(text); err != nil {
		s.hangUp()
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	s.stop = context.AfterFunc(ctx, s.hangUp)
	go s.await()
	return s, nil
}

// opened is a command on a peer that the keeper runs for this process.
type opened struct {
	host              string
	conn              *net.UnixConn
	in, out, complain *os.File // this process's ends of the pipes
	stop              func() bool

	ended chan struct{} // closed when the keeper has answered or gone
	err   error         // why it ended, once it has
}

// lend makes the three pipes and sends the far ends along with the call. This process keeps none of them, so that each pipe ends with the keeper.
func (s *opened) lend(text []byte) error {
	in, near, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	s.in = near
	near, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	s.out = near
	near, complain, err := os.Pipe()
	if err != nil {
		return err
	}
	defer complain.Close()
	s.complain = near
	return socket.Send(s.conn, text, descriptor(in), descriptor(out), descriptor(complain))
}

// descriptor does not make the file blocking, as Fd does.
func descriptor(f *os.File) (fd int) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(d uintptr) { fd = int(d) })
	}
	return fd
}

// await notes why the session ended.
func (s *opened) await() {
	defer close(s.ended)
	complained := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(s.complain, maxComplaint))
		_, _ = io.Copy(io.Discard, s.complain) // who complains must not wait
		complained <- oneLine(text)
	}()
	var r result
	err := json.NewDecoder(s.conn).Decode(&r)
	switch {
	case err != nil:
		s.err = fmt.Errorf("%s: hafs-dial.service ended: %w", s.host, noEOF(err))
	case r.Error == "":
		s.err = io.EOF
	default:
		s.err = fmt.Errorf("%s: %s", s.host, r.Error)
		if text := <-complained; text != "" {
			s.err = fmt.Errorf("%w: %s", s.err, text)
		}
	}
}

func oneLine(text []byte) string {
	return strings.Join(strings.FieldsFunc(string(text), func(c rune) bool { return c == '\n' || c == '\r' }), "; ")
}

// noEOF keeps a keeper that goes from looking like a command that ended well.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *opened) Read(p []byte) (int, error) {
	n, err := s.out.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if errors.Is(err, os.ErrClosed) {
		return 0, err
	}
	<-s.ended // the keeper answers before it closes the pipes
	return 0, s.err
}

func (s *opened) Write(p []byte) (int, error) {
	n, err := s.in.Write(p)
	if err == nil || errors.Is(err, os.ErrClosed) {
		return n, err
	}
	<-s.ended
	if !errors.Is(s.err, io.EOF) {
		err = s.err
	}
	return n, err
}

func (s *opened) Close() error {
	s.stop()
	s.hangUp()
	return nil
}

// hangUp tells the keeper that the caller is gone, and wakes whoever waits here.
func (s *opened) hangUp() {
	s.conn.Close()
	for _, f := range []*os.File{s.in, s.out, s.complain} {
		if f != nil {
			f.Close()
		}
	}
}
