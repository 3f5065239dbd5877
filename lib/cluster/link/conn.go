package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"hafs/lib/host/problem"
)

// maxLine bounds one message. A record of 100 servers takes 16 KiB.
const maxLine = 1 << 20

// caller asks questions over one stream, many at a time.
type caller struct {
	stream io.ReadWriteCloser
	writer sync.Mutex

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]chan Reply
	err     error // set once the stream is broken
}

func newCaller(stream io.ReadWriteCloser) *caller {
	c := &caller{stream: stream, waiting: map[uint64]chan Reply{}}
	go c.receive()
	return c
}

func (c *caller) receive() {
	decoder := json.NewDecoder(stream{c.stream})
	for {
		var r Reply
		if err := decoder.Decode(&r); err != nil {
			c.fail(fmt.Errorf("link broken: %w", err))
			return
		}
		c.mu.Lock()
		answer := c.waiting[r.ID]
		delete(c.waiting, r.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- r
		}
	}
}

func (c *caller) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
	c.mu.Unlock()
	c.stream.Close()
}

func (c *caller) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// call asks and waits for the answer. An answer that carries an error is returned as one.
func (c *caller) call(ctx context.Context, q Request) (Reply, error) {
	answer := make(chan Reply, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return Reply{}, c.err
	}
	c.lastID++
	q.ID = c.lastID
	c.waiting[q.ID] = answer
	c.mu.Unlock()
	if err := c.send(q); err != nil {
		c.fail(err)
		return Reply{}, err
	}
	select {
	case r, ok := <-answer:
		if !ok {
			return Reply{}, c.broken()
		}
		if r.Error != "" {
			return r, problem.On(r.ProblemPart, r.ProblemID, errors.New(r.Error))
		}
		return r, nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, q.ID)
		c.mu.Unlock()
		return Reply{}, ctx.Err()
	}
}

func (c *caller) send(q Request) error {
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	_, err = c.stream.Write(append(line, '\n'))
	return err
}

// questionsAtOnce is how many questions of one stream are answered at a time: so many that hafs-promote asks at once in the largest cluster, and not so many that a peer
// which takes no answers fills our memory.
const questionsAtOnce = 256

// serve answers the questions of one stream until it ends. Each is answered as soon as it can be, not in order.
func serve(s io.ReadWriter, answer func(Request) Reply) error {
	decoder := json.NewDecoder(stream{s})
	var writer sync.Mutex
	var running sync.WaitGroup
	defer running.Wait()
	room := make(chan struct{}, questionsAtOnce)
	for {
		room <- struct{}{}
		var q Request
		if err := decoder.Decode(&q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		running.Go(func() {
			defer func() { <-room }()
			r := answer(q)
			r.ID = q.ID
			line, err := json.Marshal(r)
			if err != nil {
				return
			}
			writer.Lock()
			defer writer.Unlock()
			_, _ = s.Write(append(line, '\n')) // a broken stream shows at the next read
		})
	}
}

// stream refuses a message that never ends, so that a peer gone wrong cannot fill our memory.
type stream struct{ io.Reader }

func (s stream) Read(p []byte) (int, error) {
	if len(p) > maxLine {
		return 0, fmt.Errorf("a message is longer than %d bytes", maxLine)
	}
	return s.Reader.Read(p)
}
