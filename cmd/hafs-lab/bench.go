package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"hafs/lib/lab/benchmark"
	"hafs/lib/lab/guests"
)

type benchCommand struct {
	Subjects   []string `help:"Only these subjects."`
	Work       []string `help:"Only these kinds of work."`
	Rounds     int      `help:"How often many and large files are copied, and the file sharing server is killed for each number of files in the work scale." default:"1"`
	Kills      int      `help:"How often the file sharing server is killed in the work kills." default:"5"`
	Files      int      `help:"Files of a series of single ones." default:"200"`
	ShareFiles int      `help:"Files in the share in the work scale." default:"200000"`
	Out        string   `help:"Folder for the report and the pictures." default:"build/bench" type:"path"`
	Print      bool     `help:"Print the table of the last report again, and measure nothing."`
}

func (c *benchCommand) Help() string {
	var subjects []string
	for _, s := range benchmark.Subjects() {
		subjects = append(subjects, s.Name())
	}
	return fmt.Sprintf(`On the guests of make bench-up.

Subjects: %s.
Work: %s. A subject does the works that make sense with it. csync2 and hafs-paper take minutes to take in the 100,000 files of idle, so
they do that only if --subjects names them. scale weighs hafs-mirror and kills the file sharing server, of three pairs, with 100 files in the
share and then with --share-files. It takes long, and room for eight copies of them: it is done only if --work names it.

rsync is what all others are compared with: leave it among the subjects. It has no mount of its own; in acknowledge it stands for a plain
sshfs. What a broken-off run had measured is in the report too; the lab stays up.`, strings.Join(subjects, ", "), strings.Join(benchmark.Works(), ", "))
}

func (c *benchCommand) Run(ctx context.Context, l *guests.Lab) error {
	if c.Print {
		report, err := benchmark.LoadReport(c.Out + "/report.json")
		if err != nil {
			return err
		}
		return report.Print(os.Stdout)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	report, err := benchmark.Run(ctx, benchmark.NewField(l, self), benchmark.Options{Subjects: c.Subjects, Work: c.Work, Rounds: c.Rounds, Kills: c.Kills, Files: c.Files, ShareFiles: c.ShareFiles, Out: c.Out})
	if err != nil {
		return explain(ctx, l, err)
	}
	if err := report.Print(os.Stdout); err != nil {
		return err
	}
	if n := len(report.Failures); n > 0 {
		return fmt.Errorf("%d times a subject failed at its work", n)
	}
	return nil
}
