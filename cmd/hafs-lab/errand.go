package main

import (
	"context"
	"os"
	"time"

	"hafs/lib/lab/errand"
)

// errandCommand runs on a guest, for the benchmark.
type errandCommand struct {
	Series seriesErrand `cmd:"" help:"Write small files one after the other, and print when each was begun and closed."`
	Arrive arriveErrand `cmd:"" help:"Print when each file of a series is whole in a folder."`
	Burst  burstErrand  `cmd:"" help:"Write many small files as fast as it goes."`
	Large  largeErrand  `cmd:"" help:"Write one large file."`
	Flip   flipErrand   `cmd:"" help:"Change one byte of a file in place."`
	Rename renameErrand `cmd:"" help:"Rename a file or folder."`
	Remove removeErrand `cmd:"" help:"Remove a folder with all it holds."`
	Filled filledErrand `cmd:"" help:"Wait until a folder holds a burst."`
	Moved  movedErrand  `cmd:"" help:"Wait until a burst is in a folder of another name."`
	Gone   goneErrand   `cmd:"" help:"Wait until a name is gone."`
	Whole  wholeErrand  `cmd:"" help:"Wait until a large file is whole."`
}

type thenFlag struct {
	Then string `help:"Program to run after the change."`
}

type withinFlag struct {
	Within time.Duration `help:"How long to wait." default:"60s"`
}

type seriesErrand struct {
	thenFlag
	Directory string        `arg:""`
	Files     int           `default:"100"`
	Bytes     int           `default:"4096"`
	Interval  time.Duration `default:"50ms"`
	For       time.Duration `help:"Begin no file later."`
}

func (c *seriesErrand) Run(ctx context.Context) error {
	return errand.Series{Directory: c.Directory, Files: c.Files, Bytes: c.Bytes, Interval: c.Interval, For: c.For, Then: c.Then}.Run(ctx, os.Stdout)
}

type arriveErrand struct {
	withinFlag
	Directory string        `arg:""`
	Files     int           `default:"100"`
	Bytes     int           `default:"4096"`
	Quiet     time.Duration `help:"End when nothing has arrived for so long."`
}

func (c *arriveErrand) Run(ctx context.Context) error {
	return errand.Arrivals{Directory: c.Directory, Files: c.Files, Bytes: c.Bytes, Within: c.Within, Quiet: c.Quiet}.Run(ctx, os.Stdout)
}

type burstErrand struct {
	thenFlag
	Directory string `arg:""`
	Files     int    `default:"10000"`
	PerFolder int    `default:"100"`
	Bytes     int    `default:"4096"`
}

func (c *burstErrand) Run(ctx context.Context) error {
	return errand.Do(ctx, os.Stdout, func() error { return errand.Burst(ctx, c.Directory, c.Files, c.PerFolder, c.Bytes) }, c.Then)
}

type largeErrand struct {
	thenFlag
	Path  string `arg:""`
	Bytes int64  `required:""`
}

func (c *largeErrand) Run(ctx context.Context) error {
	return errand.Do(ctx, os.Stdout, func() error { return errand.Large(ctx, c.Path, c.Bytes) }, c.Then)
}

type flipErrand struct {
	thenFlag
	Path string `arg:""`
	At   int64  `required:""`
}

func (c *flipErrand) Run(ctx context.Context) error {
	return errand.Do(ctx, os.Stdout, func() error { return errand.Flip(c.Path, c.At) }, c.Then)
}

type renameErrand struct {
	thenFlag
	From string `arg:""`
	To   string `arg:""`
}

func (c *renameErrand) Run(ctx context.Context) error {
	return errand.Do(ctx, os.Stdout, func() error { return os.Rename(c.From, c.To) }, c.Then)
}

type removeErrand struct {
	thenFlag
	Path string `arg:""`
}

func (c *removeErrand) Run(ctx context.Context) error {
	return errand.Do(ctx, os.Stdout, func() error { return os.RemoveAll(c.Path) }, c.Then)
}

type filledErrand struct {
	withinFlag
	Directory string `arg:""`
	Files     int    `default:"10000"`
	Bytes     int    `default:"4096"`
}

func (c *filledErrand) Run(ctx context.Context) error {
	names, bytes := errand.Filled(c.Directory, c.Files, c.Bytes)
	return errand.Await(ctx, os.Stdout, names, bytes, c.Within)
}

type movedErrand struct {
	withinFlag
	From  string `arg:""`
	To    string `arg:""`
	Files int    `default:"10000"`
	Bytes int    `default:"4096"`
}

func (c *movedErrand) Run(ctx context.Context) error {
	gone := errand.Gone(c.From)
	names, bytes := errand.Filled(c.To, c.Files, c.Bytes)
	both := func() error {
		if err := names(); err != nil {
			return err
		}
		return gone()
	}
	return errand.Await(ctx, os.Stdout, both, bytes, c.Within)
}

type goneErrand struct {
	withinFlag
	Path string `arg:""`
}

func (c *goneErrand) Run(ctx context.Context) error {
	return errand.Await(ctx, os.Stdout, errand.Gone(c.Path), nil, c.Within)
}

type wholeErrand struct {
	withinFlag
	Path  string `arg:""`
	Bytes int64  `required:""`
	At    int64  `help:"The byte that was changed; -1: none." default:"-1"`
}

func (c *wholeErrand) Run(ctx context.Context) error {
	names, bytes := errand.WholeLarge(c.Path, c.Bytes, c.At)
	return errand.Await(ctx, os.Stdout, names, bytes, c.Within)
}
