package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Client does one operation after the other: a write, a read, a write, and so on; every fifth write goes through a rename.
type Client struct {
	Directory string        // in the share; made when it is missing
	Log       string        // a file outside the share
	Interval  time.Duration // from the start of one operation to that of the next, unless the first takes longer

	log      *os.File
	written  int
	readable []string // acknowledged, and not yet found missing
}

const (
	// hangPatience is how long an operation that is under way may still take when the client is told to end.
	hangPatience = time.Second
	syncPause    = time.Second
	replaceEvery = 5
	// failPause is the least from one operation that fails to the next: a client without a pause whose share is gone would do nothing but log.
	failPause = 20 * time.Millisecond
)

// Run works until ctx ends. Every operation is in the log by the time the next one starts; the log is synced once a second, beside
// the work, as a sync takes longer than most operations.
func (c *Client) Run(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Directory, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c.log = log
	go c.keepSynced(ctx)
	turn := c.next()
	for n := 0; ctx.Err() == nil; n++ {
		started := time.Now()
		done := make(chan Operation, 1)
		go func() { done <- c.perform(turn, started) }()
		o, returned := await(ctx, done)
		if !returned {
			o = Operation{Start: started.UnixNano(), End: time.Now().UnixNano(), Kind: turn.kind, File: turn.file, Outcome: Hanging}
		}
		if err := c.note(o); err != nil {
			return fmt.Errorf("write log: %w", err)
		}
		if !returned {
			break
		}
		c.learn(o)
		turn = c.following(turn)
		wait := c.Interval
		if o.Outcome == Failed {
			wait = max(wait, failPause)
		}
		pause(ctx, time.Until(started.Add(wait)))
	}
	return log.Sync()
}

// turn is an operation that is to be done.
type turn struct {
	kind Kind
	file string
}

func (c *Client) next() turn {
	c.written++
	t := turn{Write, fmt.Sprintf("%06d", c.written)}
	if c.written%replaceEvery == 0 {
		t.kind = Replace
	}
	return t
}

func (c *Client) following(last turn) turn {
	if last.kind == Read || len(c.readable) == 0 {
		return c.next()
	}
	return turn{Read, c.readable[rand.IntN(len(c.readable))]}
}

// learn keeps what may be read back. A file that was lost is reported once.
func (c *Client) learn(o Operation) {
	switch {
	case o.Kind != Read && o.Outcome == Good:
		c.readable = append(c.readable, o.File)
	case o.Outcome == Missing || o.Outcome == Different:
		for i, file := range c.readable {
			if file == o.File {
				c.readable = append(c.readable[:i], c.readable[i+1:]...)
				return
			}
		}
	}
}

func (c *Client) perform(t turn, started time.Time) Operation {
	o := Operation{Start: started.UnixNano(), Kind: t.kind, File: t.file, Outcome: Good}
	path := filepath.Join(c.Directory, t.file)
	var err error
	switch t.kind {
	case Write:
		err = write(path, Content(t.file))
	case Replace:
		if err = write(path+".new", Content(t.file)); err == nil {
			err = os.Rename(path+".new", path)
		}
	case Read:
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			o.Outcome, o.Error = verdict(t.file, text)
		}
	}
	o.End = time.Now().UnixNano()
	if err != nil {
		o.Outcome, o.Error = Failed, err.Error()
		if t.kind == Read && errors.Is(err, fs.ErrNotExist) {
			o.Outcome = Missing
		}
	}
	return o
}

// write returns without an error only if close did: that is the moment a file counts as acknowledged.
func write(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (c *Client) note(o Operation) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = c.log.Write(append(line, '\n'))
	return err
}

func (c *Client) keepSynced(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, syncPause)
		_ = c.log.Sync() // after the last one Run syncs and tells
	}
}

// await waits for the operation; when ctx ends, only a little longer.
func await(ctx context.Context, done <-chan Operation) (Operation, bool) {
	select {
	case o := <-done:
		return o, true
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o, true
	case <-time.After(hangPatience):
		return Operation{}, false
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Fill writes count files of size bytes into dir, a hundred in a folder, as a share that is in use holds them.
func Fill(dir string, count, size int) error {
	for n := range count {
		folder := filepath.Join(dir, fmt.Sprintf("%02d", n/100))
		if n%100 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		text := make([]byte, size)
		random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
		random.Read(text)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%04d", n)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
