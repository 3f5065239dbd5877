// hafs-promote changes the record: after failures, for an operator, and for the first time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"hafs/lib/cluster/promote"
	"hafs/lib/cluster/record"
	"hafs/lib/host/exitcode"
	"hafs/lib/host/system"
	"hafs/lib/node/command"
)

const about = `Changes the record of the cluster: decides what the next generation is and has a majority of the servers agree on it. hafs-linkcheck
starts it when a server is lost; an operator uses it to move the file sharing server's role or to propose an edited record.

Examples:
  hafs-promote failed M2             M2 is gone: repair the record
  hafs-promote failed M2 W3          both at once, in one generation
  hafs-promote switchover W3         W3, a DRS1, becomes the file sharing server (to be asked on the one that is it now)
  hafs-promote switchover --force W3 although programs here have files of the share open for writing
  hafs-promote explain L1            what would follow if L1 failed now, who would vote, and why?
  hafs-promote explain --json L1 W3  if both failed now, for programs
  cp -rL /etc/hafs/cluster /tmp/next; vi /tmp/next/*; hafs-promote apply /tmp/next
  hafs-promote check /tmp/next       is this a whole record?
  hafs-promote init /tmp/first       the first generation of this server (deployment does it)
  hafs-promote init --renew /tmp/w3  this server's record is damaged: lay a copy of another one's
  hafs-promote init --empty          this server has a new, empty disk for its copy: take it and have it filled

Exit codes: 0 done or explained, 1 failed, 3 refused (by the rules or by the other servers; the reason is printed), 4 no majority
answered (explain: the servers left would be none), 5 nothing to do.`

type cli struct {
	command.Common
	DryRun bool `help:"Decide and print, change nothing."`

	Failed     failedCommand     `cmd:"" help:"Repair the record after servers have failed."`
	Switchover switchoverCommand `cmd:"" help:"Move the role of the file sharing server to a DRS1. Clients wait a moment; nothing is lost."`
	Explain    explainCommand    `cmd:"" help:"Say what would follow if servers failed now. Changes nothing."`
	Apply      applyCommand      `cmd:"" help:"Propose the record in a directory."`
	Check      checkCommand      `cmd:"" help:"Check the record in a directory."`
	Init       initCommand       `cmd:"" help:"Lay the first generation on this server."`
}

func (c *cli) promoter() (promote.Promoter, error) {
	settings, _, err := c.Record()
	if err != nil {
		return promote.Promoter{}, err
	}
	return promote.New(settings, c.Log(), c.DryRun), nil
}

type failedCommand struct {
	Force bool     `help:"If no complete replica is left, or one does not answer, let the furthest of the others succeed. What it has not got yet is gone for good."`
	Names []string `arg:"" name:"name" help:"Servers that have failed."`
}

func (f *failedCommand) Run(ctx context.Context, c *cli) error {
	p, err := c.promoter()
	if err != nil {
		return err
	}
	p.Force = f.Force
	return p.Failed(ctx, f.Names...)
}

type switchoverCommand struct {
	Force bool   `help:"Move although programs on this server have files of the share open for writing. What they write afterwards is kept by this server alone, and put aside when its copy is next made like the share."`
	Name  string `arg:"" help:"The DRS1 that becomes the file sharing server."`
}

func (s *switchoverCommand) Run(ctx context.Context, c *cli) error {
	p, err := c.promoter()
	if err != nil {
		return err
	}
	p.Force, p.Drain, p.Writers = s.Force, drain(p.Settings), writers
	return p.Switchover(ctx, s.Name)
}

type applyCommand struct {
	Dir string `arg:"" type:"existingdir" help:"Directory with the three files."`
}

func (a *applyCommand) Run(ctx context.Context, c *cli) error {
	wanted, err := load(a.Dir)
	if err != nil {
		return err
	}
	p, err := c.promoter()
	if err != nil {
		return err
	}
	return p.Apply(ctx, wanted)
}

type checkCommand struct {
	Dir string `arg:"" type:"existingdir" help:"Directory with the three files."`
}

func (k *checkCommand) Run() error {
	r, err := load(k.Dir)
	if err != nil {
		return err
	}
	fmt.Println(r)
	return nil
}

type initCommand struct {
	Renew bool   `help:"Lay a record copied from a server that is well over one that cannot be read, which is kept aside." xor:"how"`
	Empty bool   `help:"Take the empty directory of a new disk in the place of this server's copy, which is then filled. The record stays." xor:"how"`
	Dir   string `arg:"" optional:"" type:"existingdir" help:"Directory with the three files."`
}

// Validate is called by kong before anything happens.
func (i *initCommand) Validate() error {
	switch {
	case i.Empty && i.Dir != "":
		return errors.New("--empty takes the record that is here, and no directory")
	case !i.Empty && i.Dir == "":
		return errors.New("expected \"<dir>\"")
	}
	return nil
}

func (i *initCommand) Run(ctx context.Context, c *cli) error {
	if i.Empty {
		p, err := c.promoter()
		if err != nil {
			return err
		}
		return p.Empty(ctx, system.Machine{})
	}
	first, err := load(i.Dir)
	if err != nil {
		return err
	}
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	if i.Renew {
		return promote.Renew(system.Machine{}, settings, first)
	}
	return promote.Init(system.Machine{}, settings, first)
}

// load reads a record an operator gave; one that lacks a file is refused, not failed.
func load(dir string) (record.Record, error) {
	r, err := record.Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = exitcode.With(exitcode.Refused, err)
	}
	return r, err
}

func main() { command.Main(about, &cli{}) }
