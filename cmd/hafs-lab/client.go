package main

import (
	"context"
	"time"

	"hafs/lib/lab/workload"
)

// clientCommand runs on a guest.
type clientCommand struct {
	Directory string        `help:"Folder in the share to work in." default:"/system/client"`
	Log       string        `help:"File outside the share: a line of JSON for each operation." default:"/var/lib/hafs-lab/client.jsonl"`
	Interval  time.Duration `help:"From the start of one operation to that of the next." default:"20ms"`
	For       time.Duration `help:"How long to work; until it is told to end if not given."`
}

func (c *clientCommand) Run(ctx context.Context) error {
	if c.For > 0 {
		limited, cancel := context.WithTimeout(ctx, c.For)
		defer cancel()
		ctx = limited
	}
	client := workload.Client{Directory: c.Directory, Log: c.Log, Interval: c.Interval}
	return client.Run(ctx)
}

// fillCommand runs on a guest.
type fillCommand struct {
	Directory string `arg:"" help:"Folder to fill."`
	Files     int    `arg:"" help:"How many files."`
	Bytes     int    `arg:"" help:"Size of each."`
}

func (c *fillCommand) Run() error { return workload.Fill(c.Directory, c.Files, c.Bytes) }
