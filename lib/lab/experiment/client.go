package experiment

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/lab/guests"
	"hafs/lib/lab/witness"
	"hafs/lib/lab/workload"
)

// client is a measuring client that runs on a guest.
type client struct {
	directory string // in the share, as FS and clients name it
	log       string // on the guest
	stop      func() ([]workload.Operation, error)
}

// StartClient starts a measuring client in a directory that need not be HAFS's, and returns what tells it to end and gives its log.
func (b *Bench) StartClient(ctx context.Context, on, directory string, interval time.Duration) (func() ([]workload.Operation, error), error) {
	c, err := b.startClientIn(ctx, on, directory, fmt.Sprintf("%s-%s-%d", clientWork, on, time.Now().UnixMilli()), interval)
	if err != nil {
		return nil, err
	}
	return c.stop, nil
}

// Prepare puts this program on the guest where the client runs.
func (b *Bench) Prepare(ctx context.Context, on string) error {
	m, err := guests.Find(on)
	if err != nil {
		return err
	}
	return b.Lab.Push(ctx, m, b.Program, programOn)
}

// Fill writes files into the share from a guest, as a share in use has them.
func (b *Bench) Fill(ctx context.Context, on string, files, bytesEach int) error {
	return b.run(ctx, on, programOn, "fill", "/system/management", fmt.Sprint(files), fmt.Sprint(bytesEach))
}

func (b *Bench) startClient(ctx context.Context, on string) (*client, error) {
	return b.startClientEvery(ctx, on, b.interval())
}

func (b *Bench) startClientEvery(ctx context.Context, on string, interval time.Duration) (*client, error) {
	id := fmt.Sprintf("%s-%s-%d", clientWork, on, time.Now().UnixMilli())
	return b.startClientIn(ctx, on, "/system/"+id, id, interval)
}

func (b *Bench) startClientIn(ctx context.Context, on, directory, id string, interval time.Duration) (*client, error) {
	m, err := guests.Find(on)
	if err != nil {
		return nil, err
	}
	c := &client{directory: directory, log: onGuest + "/" + id + ".jsonl"}
	working, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	var said bytes.Buffer
	go func() {
		status, err := b.Lab.Exec(working, m, []string{programOn, "client", "--directory", c.directory, "--log", c.log, "--interval", interval.String()},
			guests.Streams{Out: &said, Err: &said})
		if err == nil && status != 0 {
			err = fmt.Errorf("exit status %d: %s", status, bytes.TrimSpace(said.Bytes()))
		}
		// That is how it is told to end. One that then takes long to sync its log is killed over it; all it did is in the log by then.
		if working.Err() != nil {
			err = nil
		}
		ended <- err
	}()
	var once sync.Once
	var ops []workload.Operation
	c.stop = func() ([]workload.Operation, error) {
		var err error
		once.Do(func() {
			end()
			if err = <-ended; err != nil {
				err = fmt.Errorf("client on %s: %w", on, err)
				return
			}
			ops, err = b.readLog(m, c.log)
		})
		return ops, err
	}
	return c, nil
}

func (b *Bench) readLog(m guests.Member, path string) ([]workload.Operation, error) {
	text, err := witness.ReadFile(b.Lab, m.Name, path)
	if err != nil {
		return nil, err
	}
	return workload.ReadLog(bytes.NewReader(text))
}

// Seen is what a client saw of something that it should have seen nothing of.
type Seen struct {
	Operations   int      `json:"client_ops"`
	Failed       int      `json:"client_failed_ops"`
	Repeated     int      `json:"client_repeated_creations"` // of these: creations that had to be exclusive, and may have been carried out before
	Slowest      float64  `json:"slowest_op_s"`
	Acknowledged int      `json:"acknowledged_files"`
	Lost         []string `json:"lost_files,omitempty"`
}

// Err is nil if no operation failed and no file is lost.
func (s Seen) Err() error {
	if s.Failed > 0 || len(s.Lost) > 0 {
		return fmt.Errorf("%d operations of the client failed, %d files are lost", s.Failed, len(s.Lost))
	}
	return nil
}

// seen ends the client, waits until every replica is identical to the share, judges what the client saw, and takes its files away.
func (b *Bench) seen(ctx context.Context, c *client, fs string) (Seen, error) {
	var s Seen
	log, err := c.stop()
	if err != nil {
		return s, err
	}
	if err := b.AwaitIdentical(ctx, sameLimit); err != nil {
		return s, err
	}
	read, closeShare, err := witness.Reader(b.Lab, fs, c.directory)
	if err != nil {
		return s, err
	}
	defer closeShare()
	s.Operations, s.Acknowledged = len(log), len(workload.Acknowledged(log))
	for _, o := range log {
		s.Slowest = max(s.Slowest, o.Took().Seconds())
		if o.Outcome != workload.Good {
			s.Failed++
		}
		if o.Outcome == workload.Failed && strings.HasPrefix(o.Error, "open ") && strings.HasSuffix(o.Error, unix.EPERM.Error()) { // what sshfs makes of it
			s.Repeated++
		}
	}
	lost, err := workload.Lost(log, time.Now(), read)
	if err != nil {
		return s, err
	}
	for _, a := range lost.Before {
		s.Lost = append(s.Lost, a.File)
	}
	return s, b.run(ctx, fs, "rm", "-rf", c.directory)
}
