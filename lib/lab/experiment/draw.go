package experiment

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"hafs/lib/lab/workload"
)

// margins of a picture before the failure and after the structure was restored.
const marginBefore, marginAfter = 1200 * time.Millisecond, 1400 * time.Millisecond

// draw draws one failover of each server: the run whose recovery is the middle one. L1's is failover.svg.
func (d *Demo) draw(report Report) error {
	for _, name := range failures {
		run, found := middle(report.Runs, name)
		if !found {
			continue
		}
		base := "failover-" + name
		if run.Role == "fs" {
			base = "failover"
		}
		var b bytes.Buffer
		if err := run.picture(report.Settings).SVG(&b); err != nil {
			return err
		}
		svg := filepath.Join(d.Out, base+".svg")
		if err := renameio.WriteFile(svg, b.Bytes(), 0o644); err != nil {
			return err
		}
		if err := rasterize(svg, filepath.Join(d.Out, base+".png")); err != nil {
			return err
		}
		d.say("picture: %s", svg)
	}
	return nil
}

// rasterize makes a PNG when this machine has the program for it.
func rasterize(svg, png string) error {
	program, err := exec.LookPath("rsvg-convert")
	if err != nil {
		return nil
	}
	cmd := exec.Command(program, "--zoom=1.5", "--output", png, svg)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// middle is the run of a server with the median recovery, of those this process has the client's log of.
func middle(runs []Run, failed string) (Run, bool) {
	var all []Run
	for _, r := range runs {
		if r.Failed == failed && len(r.log) > 0 {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return Run{}, false
	}
	slices.SortFunc(all, func(a, b Run) int {
		switch {
		case a.Recovered < b.Recovered:
			return -1
		case a.Recovered > b.Recovered:
			return 1
		}
		return 0
	})
	return all[(len(all)-1)/2], true
}

func (r Run) picture(s Settings) Picture {
	e := workload.Experienced(r.log, r.FailedAt)
	p := Picture{
		Title: fmt.Sprintf("Failover of %s (%s) as a client saw it", r.Failed, titleOf[r.Role]),
		Subtitle: fmt.Sprintf("client on %s, an operation every %.0f ms; examination time %.2f s; round %d of %d, generation %d",
			s.Client, s.ClientIntervalMS, s.ExaminationTimeS, r.Round, s.Rounds, r.Generation),
		Failure: r.FailedAt, Operations: r.log, From: -marginBefore, To: r.story.Restored().Sub(r.FailedAt) + marginAfter,
		Marks: []Mark{
			{r.FailedAt, map[string]string{"kill": "power off"}[r.How], "#1d2733"},
			{r.story.Detected, "detected", "#8a3ffc"},
			{r.story.Chosen, "new generation", "#0a7d5c"},
			{r.story.Restored(), "restored", "#1d2733"},
		},
		Outage: [2]time.Time{e.OutageFrom, e.OutageFrom.Add(e.Outage)},
	}
	return p
}

var titleOf = map[string]string{"fs": "file sharing server", "drs1": "DRS1", "drs2": "DRS2"}
