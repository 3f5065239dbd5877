package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"hafs/lib/lab/guests"
)

// scenarioCommand runs the scenarios of molecule/ as the ordinary playbooks they are, on the lab that is up and deployed.
type scenarioCommand struct {
	Names     []string `arg:"" optional:"" name:"scenario" help:"Folders below molecule/; all that run on the lab if none is given."`
	Directory string   `help:"Where the scenarios are." default:"molecule" type:"path"`
	Inventory string   `help:"Inventory of the lab." default:"inventory/lab" type:"path"`
	List      bool     `help:"List the scenarios in their order, and do nothing."`
}

func (c *scenarioCommand) Run(ctx context.Context, l *guests.Lab) error {
	scenarios, err := c.scenarios()
	if err != nil {
		return err
	}
	if c.List {
		for _, s := range scenarios {
			fmt.Println(s.name, s.stages)
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	begun := time.Now()
	for i, s := range scenarios {
		started := time.Now()
		for _, stage := range s.stages {
			l.Log.Info().Msgf("%d/%d %s: %s", i+1, len(scenarios), s.name, stage)
			if err := c.play(ctx, s, stage, self); err != nil {
				return fmt.Errorf("scenario %s: %s: %w", s.name, stage, err)
			}
		}
		fmt.Printf("passed  %-16s %5.1f s\n", s.name, time.Since(started).Seconds())
	}
	fmt.Printf("%d scenarios passed in %.0f s\n", len(scenarios), time.Since(begun).Seconds())
	return nil
}

// scenario is one folder of molecule/.
type scenario struct {
	name, dir string
	stages    []string
	playbooks map[string]string // stage → playbook, relative to the folder
	variables map[string]any    // what its playbooks are told
}

func (s scenario) playbook(stage string) string {
	if playbook, found := s.playbooks[stage]; found {
		return filepath.Join(s.dir, playbook)
	}
	if stage == idempotence || stage == check {
		return s.playbook("converge")
	}
	return filepath.Join(s.dir, stage+".yml")
}

// Stages that run the playbook of the stage converge once more.
const (
	idempotence = "idempotence"
	check       = "check"
)

// Stages that make or remove guests, or deploy, are done once before all scenarios, unless a scenario is about them.
var onceForAll = []string{"dependency", "cleanup", "destroy", "syntax", "create", "prepare", "converge", idempotence, check}

// scenarios reads each scenario. The one called default comes first; it alone deploys.
func (c *scenarioCommand) scenarios() ([]scenario, error) {
	names := c.Names
	if len(names) == 0 {
		found, err := filepath.Glob(filepath.Join(c.Directory, "*", "molecule.yml"))
		if err != nil || len(found) == 0 {
			return nil, errors.Join(err, fmt.Errorf("no scenarios in %s", c.Directory))
		}
		for _, f := range found {
			names = append(names, filepath.Base(filepath.Dir(f)))
		}
		slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	}
	var all []scenario
	for _, name := range names {
		dir := filepath.Join(c.Directory, name)
		file, err := readMolecule(filepath.Join(c.Directory, "..", ".config", "molecule", "config.yml"), filepath.Join(dir, "molecule.yml"))
		if err != nil {
			return nil, err
		}
		// A scenario that makes no guests is for molecule and the linters.
		if !slices.Contains(file.Scenario.TestSequence, "create") {
			if len(c.Names) > 0 {
				return nil, fmt.Errorf("%s does not run on the lab: it makes no guests", name)
			}
			continue
		}
		s := scenario{name: name, dir: dir, playbooks: file.Provisioner.Playbooks, variables: file.Provisioner.Inventory.GroupVars["all"]}
		for _, stage := range file.Scenario.TestSequence {
			deploys := name == "default" && (stage == "converge" || stage == idempotence || stage == check)
			if !slices.Contains(onceForAll, stage) || deploys {
				s.stages = append(s.stages, stage)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func rank(name string) int {
	if name == "default" {
		return 0
	}
	return 1
}

// play runs the playbook of a stage. What it prints is shown only when it fails.
func (c *scenarioCommand) play(ctx context.Context, s scenario, stage, self string) error {
	variables := map[string]any{"hafs_lab": self}
	maps.Copy(variables, s.variables)
	told, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	arguments := []string{"--inventory", c.Inventory, "--extra-vars", string(told), s.playbook(stage)}
	if stage == check {
		arguments = append(arguments, "--check")
	}
	cmd := exec.CommandContext(ctx, "ansible-playbook", arguments...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	if err == nil && stage == idempotence && changed.Match(said.Bytes()) {
		err = errors.New("something was changed the second time")
	}
	if err != nil {
		_, _ = io.Copy(os.Stderr, &said)
	}
	return err
}

// changed finds a host in the recap on which something was changed.
var changed = regexp.MustCompile(`(?m)\bchanged=[1-9]`)
