package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/host/socket"
	"hafs/lib/node/command"
	"hafs/lib/replication/change"
	"hafs/lib/replication/mirror"
)

type runCommand struct {
	Common *command.Common `kong:"-"`
	targets
	Input   string        `arg:"" optional:"" help:"Where changes are read: - is the standard input." default:"-"`
	Once    bool          `help:"At the end of the input give up replicas that fail, instead of trying on."`
	Full    bool          `help:"Read nothing: compare everything once, and end."`
	Service bool          `help:"Take share and replicas from the record, and follow it."`
	DryRun  bool          `help:"Print the steps; change nothing."`
	Every   time.Duration `help:"How often everything is compared although nothing seemed to change." default:"10m"`
	Status  string        `help:"File to keep the status in." placeholder:"FILE"`
	Socket  string        `help:"Socket to answer hafs-mirror wait on." placeholder:"PATH"`
}

// Validate is called by kong before anything happens.
func (c *runCommand) Validate() error {
	switch {
	case c.Input != "-":
		return fmt.Errorf("input %q: only - can be read", c.Input)
	case c.Service && (c.Share != "" || len(c.To)+len(c.RsyncTo) > 0 || c.Full || c.Once || c.DryRun):
		return errors.New("--service takes share and replicas from the record")
	case !c.Service && c.Share == "":
		return errors.New("--share is missing")
	case c.Every <= 0:
		return errors.New("--every must be more than nothing")
	}
	wanted, err := c.wanted()
	if err == nil && !c.Service && len(wanted) == 0 {
		err = errors.New("no replica: --to NAME=DIR or --rsync-to NAME=HOST:DIR")
	}
	return err
}

// attempts is how often in a row a replica may fail when the work has an end.
const attempts = 3

// Run is the program.
func (c *runCommand) Run(ctx context.Context) error {
	if c.Service {
		return c.serve(ctx)
	}
	share, err := openShare(c.Share)
	if err != nil {
		return err
	}
	defer share.Close()
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	m := &mirror.Mirror{Share: share, StatusFile: c.Status, Pace: mirror.Pace{Every: c.Every}, Log: c.Common.Log()}
	if c.Once || c.Full || c.DryRun {
		m.Attempts = attempts
	}
	if c.DryRun { // nothing becomes complete
		m.Log = m.Log.Level(zerolog.WarnLevel)
	}
	m.Transport = func(w mirror.Wanted) mirror.Transport { return c.shown(w, c.transport(share, w, false, 0, m.Log)) }
	for _, w := range wanted { // before the first effect
		if d, is := m.Transport(w).(*mirror.Directory); is {
			if err := d.Check(); err != nil {
				return refused(fmt.Errorf("%s: %w", w.Name, err))
			}
			d.Close()
		}
	}
	m.Start(ctx)
	if c.Socket != "" {
		listener, err := socket.Listen(c.Socket)
		if err != nil {
			return err
		}
		defer listener.Close()
		go m.Serve(listener)
	}
	m.Keep(0, wanted)
	if c.Full {
		m.Report(change.Change{Kind: change.Rescan, Path: "."})
	} else if err := c.feed(ctx, m, os.Stdin); err != nil {
		return err
	}
	err = refused(m.Finished(ctx))
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// feed reads to the end of the input, unless the share vanishes or the program is told to end.
func (c *runCommand) feed(ctx context.Context, m *mirror.Mirror, in *os.File) error {
	read := make(chan error, 1)
	go func() { read <- m.Feed(ctx, in, c.Service) }()
	select {
	case err := <-read:
		return err
	case err := <-m.Gone():
		return err
	case <-ctx.Done():
		return nil
	}
}

// shown makes a transport print its steps instead of carrying them out.
func (c *runCommand) shown(w mirror.Wanted, t mirror.Transport) mirror.Transport {
	if !c.DryRun {
		return t
	}
	switch t := t.(type) {
	case *mirror.Directory:
		t.Show = func(s mirror.Step) { printLine(w.Name, s.String()) }
	case *mirror.Rsync:
		t.Show = func(line string) { printLine(w.Name, line) }
	}
	return t
}

var printing sync.Mutex

func printLine(name, line string) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(name + " " + strings.ReplaceAll(line, "\n", `\n`))
}
