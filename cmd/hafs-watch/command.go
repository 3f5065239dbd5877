package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"hafs/lib/host/problem"
	"hafs/lib/host/system"
	"hafs/lib/node/command"
	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
	"hafs/lib/replication/watch"
)

type cli struct {
	command.Common
	Share    string        `help:"Directory to watch." required:"" placeholder:"DIR"`
	Against  string        `help:"Directory to compare with; print what differs." placeholder:"DIR"`
	Once     bool          `help:"Compare once, print the differences, and end."`
	Checksum bool          `help:"With --once: read files that look the same."`
	Settle   time.Duration `help:"How long changes are gathered before they are printed." default:"5ms"`
	Raw      bool          `help:"Print each event as the kernel told it, on stderr."`
	Report   string        `help:"File in which to say why watching is not possible, for hafs-status." placeholder:"FILE"`
	JSON     bool          `help:"Print objects with kind and path instead of lines." name:"json"`
}

// Validate is called by kong before anything happens.
func (c *cli) Validate() error {
	if c.Once && c.Against == "" {
		return errors.New("--once compares: it needs --against DIR")
	}
	if c.Settle < 0 {
		return errors.New("--settle cannot be negative")
	}
	return nil
}

// Run is the program.
func (c *cli) Run(ctx context.Context) error {
	err := c.run(ctx)
	c.say(err)
	return err
}

func (c *cli) run(ctx context.Context) error {
	share, err := filepath.Abs(c.Share)
	if err != nil {
		return err
	}
	root, err := tree.Open(share)
	if err != nil {
		return fmt.Errorf("open the share: %w", err)
	}
	defer root.Close()
	out := lines{out: os.Stdout, json: c.JSON}
	report := out.write
	if c.Against != "" {
		comparison, err := compareWith(root, c.Against)
		if err != nil {
			return err
		}
		defer comparison.Against.Close()
		comparison.Checksum = c.Checksum
		if c.Once {
			return errors.Join(comparison.Diff(".", out.add), out.flush())
		}
		report = func(changes []change.Change) error {
			for _, reported := range changes {
				if err := comparison.Changes(reported, out.add); err != nil {
					return err
				}
			}
			return out.flush()
		}
	}
	w := watch.Watcher{Share: share, Root: root, Open: watch.Inotify, Settle: c.Settle, Log: c.Log()}
	w.Ready = func() {
		c.say(nil)
		system.Ready(ctx, w.Alive)
	}
	if c.Raw {
		w.Raw = func(event string) { fmt.Fprintln(os.Stderr, "raw", event) }
	}
	return w.Run(ctx, report)
}

// say leaves word of why this program ended; hafs-linkcheck finds it when the unit does not run.
func (c *cli) say(err error) {
	if c.Report == "" {
		return
	}
	var said struct {
		Problem   string     `json:"problem,omitempty"`
		ProblemID problem.ID `json:"problem_id,omitempty"`
	}
	if problem.Of(err) != "" { // anything else systemd tells
		said.Problem, said.ProblemID = err.Error(), problem.Of(err)
	}
	text, err := json.Marshal(said)
	if err == nil {
		err = system.Machine{}.ReplaceUnsynced("say what is wrong", c.Report, text, 0o644)
	}
	if err != nil {
		log := c.Log()
		log.Error().Err(err).Msg("cannot say what is wrong")
	}
}

func compareWith(share *tree.Root, dir string) (watch.Comparison, error) {
	against, err := tree.Open(dir)
	if err != nil {
		return watch.Comparison{}, fmt.Errorf("open what to compare with: %w", err)
	}
	fuse, err := against.IsFUSE()
	if err != nil {
		return watch.Comparison{}, errors.Join(err, against.Close())
	}
	c := watch.Comparison{Share: share, Against: against}
	if fuse {
		c.Fidelity = change.OverSSHFS
	}
	return c, nil
}

// atomicBytes is what a pipe takes in one piece (PIPE_BUF): a reader never sees half of a line, not even when this process is
// killed while the pipe is full.
const atomicBytes = 4096

// lines writes changes in pieces of whole lines.
type lines struct {
	out    io.Writer
	json   bool
	buffer []byte
}

func (l *lines) write(changes []change.Change) error {
	for _, c := range changes {
		if err := l.add(c); err != nil {
			return err
		}
	}
	return l.flush()
}

func (l *lines) add(c change.Change) error {
	line := c.String()
	if l.json {
		text, err := json.Marshal(map[string]string{"kind": string(c.Kind), "path": line[len(c.Kind)+1:]})
		if err != nil {
			return err
		}
		line = string(text)
	}
	if len(l.buffer)+len(line)+1 > atomicBytes {
		if err := l.flush(); err != nil {
			return err
		}
	}
	l.buffer = append(append(l.buffer, line...), '\n')
	return nil
}

func (l *lines) flush() error {
	if len(l.buffer) == 0 {
		return nil
	}
	_, err := l.out.Write(l.buffer)
	l.buffer = l.buffer[:0]
	return err
}
