// hafs-linkcheck keeps the links to other servers and judges them; by hand it gives one verdict.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"hafs/lib/cluster/link"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/session"
	"hafs/lib/host/system"
	"hafs/lib/node/command"
)

const about = `Keeps one SSH link to every server this one has to watch, sends heartbeats, and judges: a peer that gives no good answer for the
examination time is lost. Then hafs-promote is started. It also answers the heartbeats and votes of others and installs what was chosen.
On the file sharing server it holds the virtual address and the lease, while a majority answers.

With a PEER it gives one verdict with the round-trip time, from the running service, and ends.

Examples:
  hafs-linkcheck              the service
  hafs-linkcheck W3           is W3 alive, as seen from here?
  hafs-linkcheck --json W3

Exit codes: 0 alive (or the service ended cleanly), 1 lost or failed, 3 refused: the peer is not in the record, bad settings.`

type cli struct {
	command.Common
	JSON bool   `name:"json" help:"Print the verdict as JSON."`
	Peer string `arg:"" optional:"" help:"Server to judge once."`
}

func (c *cli) Run(ctx context.Context) error {
	if c.Peer != "" {
		return c.verdict(ctx)
	}
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	dialer, err := session.NewDialer(settings)
	if err != nil {
		return err
	}
	dialer.Small = true
	machine := system.Machine{}
	looker := system.Looker{Machine: machine}
	daemon := link.Daemon{Settings: settings, Version: command.Version, Dialer: dialer, Machine: machine, Log: c.Log(), Units: looker.States, Start: func(unit string) error {
		units, err := machine.Units(ctx)
		if err != nil {
			return err
		}
		defer units.Close()
		return units.Enqueue(ctx, "start "+unit, unit)
	}}
	return daemon.Run(ctx)
}

func (c *cli) verdict(ctx context.Context) error {
	settings, r, err := c.Record()
	if err != nil {
		return err
	}
	if _, known := r.Server(c.Peer); !known {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s is not in the server list", c.Peer))
	}
	asked := time.Now()
	facts, err := link.Client{Socket: settings.Run("link.sock")}.Beat(ctx, c.Peer)
	rtt := time.Since(asked)
	if errors.Is(err, link.ErrNotRunning) { // that says nothing of the peer
		return err
	}
	result := map[string]any{"peer": c.Peer, "alive": err == nil && facts.Healthy, "rtt_ms": float64(rtt.Microseconds()) / 1000, "facts": facts}
	if err != nil {
		result["error"] = err.Error()
	}
	switch {
	case c.JSON:
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			return err
		}
	case err == nil && facts.Healthy:
		fmt.Printf("%s alive %.1f ms generation %d\n", c.Peer, float64(rtt.Microseconds())/1000, facts.Generation)
	default:
		fmt.Printf("%s lost\n", c.Peer)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", c.Peer, err)
	case !facts.Healthy:
		return exitcode.With(exitcode.Failed, fmt.Errorf("%s answers but is not healthy: %s", c.Peer, facts.Problem))
	}
	return nil
}

func main() { command.Main(about, &cli{}) }
