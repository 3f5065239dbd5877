package dial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"hafs/lib/client/relay"
	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/session"
	"hafs/lib/host/socket"
	"hafs/lib/host/system"
)

// copyBytes is how much is taken from a caller at once.
const copyBytes = 256 << 10

// Keeper is hafs-dial --keep.
type Keeper struct {
	Settings config.Settings
	Dialer   *session.Dialer
	Log      zerolog.Logger

	pool    *pool
	latest  *record.Latest
	mu      sync.Mutex
	record  record.Record
	changed chan struct{} // closed when record changes
}

// Run keeps connections and serves hafs-dial until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	k.pool = newPool(k.Dialer, k.Log)
	k.changed = make(chan struct{})
	store := record.Store{Directory: k.Settings.StateDirectory}
	records, err := store.Follow(ctx)
	if err != nil {
		return err
	}
	k.latest = &record.Latest{Store: store}
	listener, err := socket.Listen(k.Settings.Run("dial.sock"))
	if err != nil {
		return err
	}
	defer listener.Close()
	go k.accept(ctx, listener)
	go k.tell(ctx)
	system.Ready(ctx, func() bool { k.now(); return true }) // a keeper that is stuck does not answer
	for r := range records {
		k.mu.Lock()
		k.record = r
		close(k.changed)
		k.changed = make(chan struct{})
		k.mu.Unlock()
		var servers []record.Server
		for _, name := range Reach(r, k.Settings.Name) {
			if s, known := r.Server(name); known {
				servers = append(servers, s)
			}
		}
		k.pool.keep(ctx, servers)
	}
	return nil
}

// tell leaves word of connections that fail, for hafs-status: nobody else would see that this server's key is refused.
func (k *Keeper) tell(ctx context.Context) {
	for {
		text, err := k.pool.failures.text()
		if err == nil {
			err = system.Machine{}.Replace("note failures", k.Settings.Run("dial.json"), text, 0o644)
		}
		if err != nil {
			k.Log.Error().Err(err).Msg("cannot note which connections fail")
		}
		select {
		case <-k.pool.failures.changed:
		case <-ctx.Done():
			return
		}
	}
}

// now is the record as it is, and what tells when another one has been followed: mirrors follow the record too, and may ask before this program has
// heard of it.
func (k *Keeper) now() (record.Record, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest == nil {
		return k.record, k.changed
	}
	return k.latest.Record(), k.changed
}

// call is what hafs-dial sends, with its three standard streams.
type call struct {
	Host    string   `json:"host"`
	Command []string `json:"command"`
}

// result is what hafs-dial gets back when the session has ended.
type result struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

func (k *Keeper) accept(ctx context.Context, listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		go k.serve(ctx, conn)
	}
}

func (k *Keeper) serve(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	var c call
	text, streams, err := socket.Receive(conn, 3)
	defer func() { // after the answer
		for _, s := range streams {
			s.Close()
		}
	}()
	if err != nil || json.Unmarshal(text, &c) != nil || len(streams) != 3 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // hafs-dial has ended, so its caller has
		_, _ = conn.Read(make([]byte, 1))
		cancel()
		for _, s := range streams {
			s.Close()
		}
	}()
	if c.Host == FileServer && len(c.Command) > 0 && c.Command[0] == "sftp" {
		err = relay.Run(ctx, readWriter{streams[0], streams[1]}, k.share)
		k.pool.failures.note(FileServer, nil)
	} else {
		err = k.once(ctx, c, streams)
	}
	answer := result{}
	if errors.Is(err, context.Canceled) { // whoever asks is there, or would not read this
		err = errors.New("hafs-dial.service ends")
	}
	if err != nil {
		answer = result{Status: 1, Error: err.Error()}
		var exit *ssh.ExitError
		if errors.As(err, &exit) {
			answer.Status = exit.ExitStatus()
		}
	}
	if text, err := json.Marshal(answer); err == nil {
		_, _ = conn.Write(text)
	}
}

type readWriter struct {
	io.Reader
	io.Writer
}

// once runs one command on a server with the caller's streams. It ends when the command does, or when the record makes it another server's
// task.
func (k *Keeper) once(ctx context.Context, c call, streams []*os.File) error {
	r, changed := k.now()
	server, err := Resolve(r, c.Host)
	if err != nil {
		return err
	}
	order, err := Order(r, c.Host, c.Command)
	if err != nil {
		return err
	}
	s, err := k.pool.open(ctx, server)
	if err != nil {
		return err
	}
	defer s.Close()
	in, err := s.StdinPipe()
	if err != nil {
		return err
	}
	s.Stdout, s.Stderr = hangingUp{streams[1], s}, streams[2]
	if err := s.Start(order); err != nil {
		return err
	}
	go func() {
		// Whole pieces of a large file at once: each turn wakes both sides. The wrappers keep io from other ways to copy.
		_, _ = io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{streams[0]}, make([]byte, copyBytes))
		in.Close()
	}()
	done := make(chan error, 1)
	go func() { done <- s.Wait() }()
	for {
		select {
		case err := <-done:
			return err
		case <-changed:
			var now record.Record
			if now, changed = k.now(); !StillMeant(r, now, k.Settings.Name, c.Host) {
				return fmt.Errorf("the record has changed: what generation %d asked of %s is over", r.Generation, c.Host)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hangingUp takes what a session says, and ends the session when that cannot be handed on: whoever asked is gone, and the command on the other server
// would wait for ever to be read.
type hangingUp struct {
	io.Writer
	session io.Closer
}

func (h hangingUp) Write(p []byte) (int, error) {
	n, err := h.Writer.Write(p)
	if err != nil {
		h.session.Close()
	}
	return n, err
}

const sharePause = 10 * time.Millisecond

// share opens an SFTP session with whoever is FS, for a client whose programs wait: it tries until there is one.
func (k *Keeper) share(ctx context.Context) (io.ReadWriteCloser, error) {
	for {
		r, changed := k.now()
		stream, err := k.openShare(ctx, r, changed)
		if err == nil {
			return stream, nil
		}
		k.Log.Debug().Err(err).Msg("no share yet")
		k.noteShare(err)
		select {
		case <-time.After(sharePause):
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// noteShare notes whether sessions of the share can be opened; one that was given up as the record changed says nothing of that.
func (k *Keeper) noteShare(err error) {
	if !errors.Is(err, context.Canceled) {
		k.pool.failures.note(FileServer, err)
	}
}

func (k *Keeper) openShare(ctx context.Context, r record.Record, changed <-chan struct{}) (io.ReadWriteCloser, error) {
	server, err := Resolve(r, FileServer)
	if err != nil {
		return nil, err
	}
	if server.Name == k.Settings.Name {
		return k.openHere(r)
	}
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a server that hangs must not hold us when another takes over
		select {
		case <-changed:
			cancel()
		case <-opening.Done():
		}
	}()
	s, err := k.pool.open(opening, server)
	if err != nil {
		return nil, err
	}
	order, err := Order(r, FileServer, []string{"sftp"})
	if err != nil {
		return nil, err
	}
	why := &complaint{}
	s.Stderr = why
	stream, err := session.Stream(s, order)
	if err != nil {
		s.Close()
		return nil, err
	}
	return k.follow(stream, r, why), nil
}

// openHere serves this server's own mount of the share when this server is FS: programs that had files open in it when the role moved here go
// on. hafs-mirror takes it like any other client's.
func (k *Keeper) openHere(r record.Record) (io.ReadWriteCloser, error) {
	text, err := json.Marshal(gate.Session{Kind: gate.Share, From: k.Settings.Name, Generation: r.Generation})
	if err != nil {
		return nil, err
	}
	conn, err := socket.Dial(k.Settings.Run(gate.SessionSocket))
	if err != nil {
		return nil, fmt.Errorf("hafs-mirror does not run here: %w", err)
	}
	in, requests, err := os.Pipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer in.Close()
	answers, out, err := os.Pipe()
	if err != nil {
		conn.Close()
		requests.Close()
		return nil, err
	}
	defer out.Close()
	s := here{answers, requests, conn}
	if err := socket.Send(conn, append(text, '\n'), descriptor(in), descriptor(out)); err != nil {
		s.Close()
		return nil, err
	}
	return k.follow(s, r, &complaint{}), nil
}

// here is a session with this server itself.
type here struct {
	io.ReadCloser
	requests io.WriteCloser
	conn     io.Closer
}

func (h here) Write(p []byte) (int, error) { return h.requests.Write(p) }

func (h here) Close() error {
	return errors.Join(h.conn.Close(), h.requests.Close(), h.ReadCloser.Close())
}

// follow ends a session when its server is not FS any more. Other changes of the record leave it alone.
func (k *Keeper) follow(session io.ReadWriteCloser, opened record.Record, why *complaint) io.ReadWriteCloser {
	s := &shareSession{ReadWriteCloser: session, ended: make(chan struct{}), why: why, note: k.noteShare}
	go func() {
		for {
			r, changed := k.now()
			if r.FS.Name != opened.FS.Name {
				s.Close()
				return
			}
			select {
			case <-changed:
			case <-s.ended:
				return
			}
		}
	}()
	return s
}

// shareSession can be closed by the record and by whoever uses it.
type shareSession struct {
	io.ReadWriteCloser
	once  sync.Once
	ended chan struct{}

	note  func(error) // told what came of it: the first that is heard, or none
	why   *complaint
	heard bool // by its only reader
}

func (s *shareSession) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	switch {
	case s.heard:
	case n > 0:
		s.heard = true
		s.note(nil)
	case err != nil:
		select {
		case <-s.ended: // by this side
		default:
			s.note(s.why.orElse("it ended before it began"))
		}
	}
	return n, err
}

// complaint is what a command on a peer says on its standard error, the beginning of it.
type complaint struct {
	mu   sync.Mutex
	text []byte
}

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p[:min(len(p), maxComplaint-len(c.text))]...)
	return len(p), nil
}

func (c *complaint) orElse(text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if said := oneLine(c.text); said != "" {
		text = said
	}
	return errors.New(text)
}

func (s *shareSession) Close() error {
	s.once.Do(func() {
		close(s.ended)
		s.ReadWriteCloser.Close()
	})
	return nil
}
