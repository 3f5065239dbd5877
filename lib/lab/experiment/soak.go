package experiment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hafs/lib/lab/guests"
	"hafs/lib/lab/shape"
	"hafs/lib/lab/witness"
	"hafs/lib/lab/workload"
)

// hangLimit is how long an operation may take when nothing fails.
const hangLimit = 10 * time.Second

// Soak is a long time in which nothing fails: clients work without a pause, and no server may take another for dead.
type Soak struct {
	For      time.Duration
	Interval time.Duration // from the start of one operation of a client to that of the next
	Clients  []string      // guests on which a client works
	Every    time.Duration // between two calls of Progress
	Progress func(Soaked)
}

// Soaked is what has come of it so far.
type Soaked struct {
	ExaminationTimeS float64     `json:"examination_time_s"`
	Seconds          float64     `json:"seconds"`
	Operations       int         `json:"operations"`
	Failed           int         `json:"failed"`
	SlowestS         float64     `json:"slowest_s"`
	SlowestLateS     float64     `json:"-"` // of the operations since the last progress
	Errors           []string    `json:"errors,omitempty"`
	Lost             int         `json:"lost"`       // how often a server called another one lost
	LeaseLost        int         `json:"lease_lost"` // how often a file sharing server lost its lease
	Events           []Milestone `json:"events,omitempty"`
	Generations      uint64      `json:"generations"` // how many were chosen meanwhile
	LostFiles        int         `json:"lost_files"`  // acknowledged, and missing or different at the end
}

// Verdict is nil when nothing happened that should not.
func (s Soaked) Verdict() error {
	if s.Operations == 0 {
		return errors.New("no client did anything")
	}
	if s.Failed+s.Lost+s.LeaseLost+s.LostFiles > 0 || s.Generations > 0 {
		return fmt.Errorf("%d operations failed, %d times a server was called lost, %d leases were lost, %d generations were chosen, %d acknowledged files are missing or different",
			s.Failed, s.Lost, s.LeaseLost, s.Generations, s.LostFiles)
	}
	return nil
}

// add counts operations of a client.
func (s *Soaked) add(on string, ops []workload.Operation) {
	for _, o := range ops {
		s.Operations++
		s.SlowestS = max(s.SlowestS, o.Took().Seconds())
		s.SlowestLateS = max(s.SlowestLateS, o.Took().Seconds())
		// The client was told to end while it waited: that tells nothing of an operation unless it waited for long.
		cutShort := o.Outcome == workload.Hanging && o.Took() < hangLimit
		if o.Outcome == workload.Good || cutShort {
			continue
		}
		if s.Failed++; len(s.Errors) < maxErrors {
			s.Errors = append(s.Errors, fmt.Sprintf("%s: %s of %s at %s: %s %s", on, o.Kind, o.File, o.Started().Format(time.StampMilli), o.Outcome, o.Error))
		}
	}
}

// see counts what is new among milestones. Journals are read again and again from the start: what they forget meanwhile is known already.
func (s *Soaked) see(milestones []Milestone, since time.Time) {
	for _, m := range milestones {
		known := func(k Milestone) bool {
			return k.Time.Equal(m.Time) && k.Guest == m.Guest && k.Event == m.Event && k.Peer == m.Peer
		}
		if m.Time.Before(since) || m.Event != "lost" && m.Event != "lease_lost" || slices.ContainsFunc(s.Events, known) {
			continue
		}
		s.Events = append(s.Events, m)
		if m.Event == "lost" {
			s.Lost++
		} else {
			s.LeaseLost++
		}
	}
}

// Soak lets clients work for a while, and counts.
func (b *Bench) Soak(ctx context.Context, p Soak) (Soaked, error) {
	var result Soaked
	before, err := b.Await(ctx, shape.Shape{Failed: []string{}}, true, moveLimit)
	if err != nil {
		return result, fmt.Errorf("before the start: %w", err)
	}
	sights, err := witness.Look(b.Lab)
	if err != nil {
		return result, err
	}
	result.ExaminationTimeS = sights[0].Settings.ExaminationTime.Seconds()
	for _, on := range p.Clients {
		if err := b.Prepare(ctx, on); err != nil {
			return result, err
		}
	}
	started := time.Now()
	var clients []*client
	var logs []*tail
	for _, on := range p.Clients {
		c, err := b.startClientEvery(ctx, on, p.Interval)
		if err != nil {
			return result, err
		}
		defer c.stop()
		m, err := guests.Find(on)
		if err != nil {
			return result, err
		}
		clients, logs = append(clients, c), append(logs, &tail{path: filepath.Join(b.Lab.Root(m), c.log)})
	}
	look := func() error {
		result.Seconds, result.SlowestLateS = time.Since(started).Seconds(), 0
		for i, t := range logs {
			ops, err := t.read()
			if err != nil {
				return err
			}
			result.add(p.Clients[i], ops)
		}
		milestones, err := b.Milestones(ctx, before.Members(), started)
		result.see(milestones, started)
		return err
	}
	for end := started.Add(p.For); time.Now().Before(end); {
		if err := pause(ctx, min(p.Every, time.Until(end))); err != nil {
			return result, err
		}
		if err := look(); err != nil {
			return result, err
		}
		p.Progress(result)
	}
	var worked [][]workload.Operation
	for _, c := range clients {
		log, err := c.stop()
		if err != nil {
			return result, err
		}
		worked = append(worked, log)
	}
	if err := look(); err != nil {
		return result, err
	}
	after, err := b.Await(ctx, shape.Shape{}, true, moveLimit)
	if err != nil {
		return result, fmt.Errorf("at the end: %w", err)
	}
	result.Generations = after.Generation - before.Generation
	for i, c := range clients {
		read, closeShare, err := witness.Reader(b.Lab, after.FS.Name, c.directory)
		if err != nil {
			return result, err
		}
		lost, err := workload.Lost(worked[i], time.Now(), read)
		closeShare()
		if err != nil {
			return result, err
		}
		result.LostFiles += len(lost.Before) + len(lost.After)
		if err := b.run(ctx, after.FS.Name, "rm", "-rf", c.directory); err != nil {
			return result, err
		}
	}
	return result, nil
}

// tail reads a log that grows.
type tail struct {
	path string
	seen int64
}

// read returns the operations since the last time.
func (t *tail) read() ([]workload.Operation, error) {
	f, err := os.Open(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // the client is starting
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(t.seen, io.SeekStart); err != nil {
		return nil, err
	}
	whole := &wholeLines{}
	ops, err := workload.ReadLog(io.TeeReader(f, whole))
	t.seen += whole.length()
	return ops, err
}

// wholeLines counts the bytes up to the last line's end.
type wholeLines struct{ all, tail int64 }

func (w *wholeLines) Write(p []byte) (int, error) {
	w.all += int64(len(p))
	if i := bytes.LastIndexByte(p, '\n'); i >= 0 {
		w.tail = int64(len(p) - 1 - i)
	} else {
		w.tail += int64(len(p))
	}
	return len(p), nil
}

func (w *wholeLines) length() int64 { return w.all - w.tail }
