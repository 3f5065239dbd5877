package mirror

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// A barrier is a mark in the share: once the change it causes has come through to a replica, everything written before it has too.

// barrier is one that somebody waits for.
type barrier struct {
	begun   bool     // its change was reported
	reached []string // replicas it has come through to
	news    chan struct{}
}

// Request is a question over /run/hafs/mirror.sock, one JSON object a line. The answer is one too.
type Request struct {
	Copies  int           `json:"copies"`            // replicas that must have everything; 0: all
	Replica string        `json:"replica,omitempty"` // this one must, whatever others have
	Drain   bool          `json:"drain,omitempty"`   // let no client change anything from now on until the connection is closed
	Verify  bool          `json:"verify,omitempty"`  // compare all replicas, content too; nothing is waited for
	Release bool          `json:"release,omitempty"` // let deletes go that are held back, of this replica or of all
	DryRun  bool          `json:"dry_run,omitempty"` // only say how many those are
	Timeout time.Duration `json:"timeout"`           // nanoseconds
	Watch   bool          `json:"watch,omitempty"`   // say meanwhile how far it is, by answers that are Waiting

	meanwhile func(Answer) // is told that
}

// Answer says how far the barrier came.
type Answer struct {
	Reached []string `json:"reached"`           // replicas that have everything written before the question
	Lagging []string `json:"lagging,omitempty"` // the others, each with the reason
	Refused string   `json:"refused,omitempty"` // why there is no use waiting
	Error   string   `json:"error,omitempty"`
	OK      bool     `json:"ok"`
	Waiting bool     `json:"waiting,omitempty"` // another answer follows
	// Differences of replicas, by name; one that could not be compared is in Lagging.
	Differences map[string][]Difference `json:"differences,omitempty"`
	Held        map[string]int          `json:"held,omitempty"` // deletes that were held back, by replica
}

// Serve answers requests until the listener is closed.
func (m *Mirror) Serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			var q Request
			if json.NewDecoder(conn).Decode(&q) != nil {
				return
			}
			switch {
			case q.Verify:
				_ = json.NewEncoder(conn).Encode(m.verify())
				return
			case q.Release:
				_ = json.NewEncoder(conn).Encode(m.release(q))
				return
			case !q.Drain:
				if q.Watch {
					q.meanwhile = func(a Answer) { _ = json.NewEncoder(conn).Encode(a) }
				}
				_ = json.NewEncoder(conn).Encode(m.Wait(q))
				return
			}
			if m.Drain == nil {
				_ = json.NewEncoder(conn).Encode(Answer{Refused: "no clients are served here"})
				return
			}
			open, a := m.drained(q)
			defer open()
			if json.NewEncoder(conn).Encode(a) == nil && a.OK {
				_ = conn.SetReadDeadline(time.Now().Add(maxDrain))
				_, _ = conn.Read(make([]byte, 1)) // until whoever asked is done
			}
		}()
	}
}

// maxDrain is how long clients are kept waiting at most, whatever becomes of whoever asked for it.
const maxDrain = 15 * time.Second

// drained stops clients and waits until replicas have everything. open lets clients go on.
func (m *Mirror) drained(q Request) (open func(), a Answer) {
	ctx, cancel := context.WithTimeout(m.ctx, q.Timeout)
	defer cancel()
	open, err := m.Drain(ctx)
	if err != nil {
		return open, Answer{Error: "stop clients: " + err.Error()}
	}
	return open, m.Wait(q)
}

// lookEvery is how often whoever watches is told how far a barrier is.
const lookEvery = 250 * time.Millisecond

// Wait marks the share and waits until the mark has come through.
func (m *Mirror) Wait(q Request) Answer {
	names := m.names()
	copies := q.Copies
	if copies == 0 {
		copies = len(names)
	}
	if copies > len(names) {
		return Answer{Refused: fmt.Sprintf("%d copies asked for, but there are %d replicas: %s", copies, len(names), strings.Join(names, " "))}
	}
	if len(names) == 0 {
		return Answer{Refused: "there are no replicas"}
	}
	if q.Replica != "" && !slices.Contains(names, q.Replica) {
		return Answer{Refused: fmt.Sprintf("%s is no replica of this server; those are %s", q.Replica, strings.Join(names, " "))}
	}
	id := rand.Text()
	b := &barrier{news: make(chan struct{}, 1)}
	m.mu.Lock()
	m.waiting[id] = b
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.waiting, id)
		m.unmark(id)
		m.mu.Unlock()
	}()
	if err := m.mark(id); err != nil {
		return Answer{Error: err.Error()}
	}
	deadline := time.After(q.Timeout)
	var look <-chan time.Time
	if q.meanwhile != nil {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		m.mu.Lock()
		reached := slices.Clone(b.reached)
		m.mu.Unlock()
		if q.Replica == "" && len(reached) >= copies || q.Replica != "" && slices.Contains(reached, q.Replica) {
			return Answer{OK: true, Reached: reached}
		}
		select {
		case <-b.news:
		case <-look:
			reached, lagging, _ := m.standing(b)
			q.meanwhile(Answer{Reached: reached, Lagging: lagging, Waiting: true})
		case <-deadline:
			reached, lagging, begun := m.standing(b)
			a := Answer{Reached: reached, Lagging: lagging, Error: "time is up"}
			if !begun {
				a.Error = "the mark in the share was not reported: is hafs-watch running?"
			}
			return a
		case <-m.ctx.Done():
			return Answer{Error: "the mirror ends"}
		}
	}
}

func (m *Mirror) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := []string{}
	for _, r := range m.replicas {
		names = append(names, r.wanted.Name)
	}
	return names
}

// mark makes the cookie. It stays until it is reported: should the kernel lose its event, the watch finds it.
func (m *Mirror) mark(id string) error {
	fd, err := unix.Openat(m.Share.Descriptor(), change.CookiePrefix+id, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("mark the share: %w", err)
	}
	return unix.Close(fd)
}

func (m *Mirror) unmark(id string) {
	_ = unix.Unlinkat(m.Share.Descriptor(), change.CookiePrefix+id, 0)
}

// standing says which replicas a barrier has come through to, what keeps the others, and whether it was reported at all.
func (m *Mirror) standing(b *barrier) (reached, lagging []string, begun bool) {
	m.mu.Lock()
	reached, begun = slices.Clone(b.reached), b.begun
	m.mu.Unlock()
	now := time.Now()
	for _, r := range m.Status().Replicas {
		if !slices.Contains(reached, r.Name) {
			lagging = append(lagging, r.lag(now))
		}
	}
	return reached, lagging, begun
}

// began notes that a barrier was reported; with m.mu held.
func (m *Mirror) began(id string) {
	if b := m.waiting[id]; b != nil {
		b.begun = true
		m.unmark(id)
	}
}

// reached notes that everything before a barrier is on a replica.
func (m *Mirror) reached(name, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.waiting[id]
	if b == nil || slices.Contains(b.reached, name) {
		return
	}
	b.reached = append(b.reached, name)
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// Ask puts a question to a running mirror.
func Ask(ctx context.Context, socket string, q Request) (Answer, error) {
	conn, a, err := ask(ctx, socket, q)
	if err == nil {
		conn.Close()
	}
	return a, err
}

// AskWatching is Ask, and tells meanwhile how far it is.
func AskWatching(ctx context.Context, socket string, q Request, meanwhile func(Answer)) (Answer, error) {
	q.Watch, q.meanwhile = true, meanwhile
	return Ask(ctx, socket, q)
}

// AskDrain stops the clients of the share and waits until a replica has everything. release lets them go on; they do so by themselves when
// this process ends.
func AskDrain(ctx context.Context, socket, replica string, timeout time.Duration) (release func(), a Answer, err error) {
	conn, a, err := ask(ctx, socket, Request{Drain: true, Replica: replica, Timeout: timeout})
	if err != nil {
		return func() {}, a, err
	}
	return func() { conn.Close() }, a, nil
}

func ask(ctx context.Context, socket string, q Request) (net.Conn, Answer, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, Answer{}, fmt.Errorf("hafs-mirror is not running here: %w", err)
	}
	if err != nil {
		return nil, Answer{}, err
	}
	// The mirror keeps the time itself, twice when it drains; this is for one that hangs.
	_ = conn.SetDeadline(time.Now().Add(2*q.Timeout + time.Second))
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	a, err := exchange(conn, q)
	if err != nil {
		conn.Close()
		err = cmp.Or(ctx.Err(), err)
	}
	return conn, a, err
}

func exchange(conn net.Conn, q Request) (Answer, error) {
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return Answer{}, err
	}
	for answers := json.NewDecoder(conn); ; {
		var a Answer
		if err := answers.Decode(&a); err != nil {
			return a, fmt.Errorf("hafs-mirror does not answer: %w", err)
		}
		if !a.Waiting {
			return a, nil
		}
		q.meanwhile(a)
	}
}
