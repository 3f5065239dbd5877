package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hafs/lib/host/problem"
)

// What hafs-linkcheck reads names what somebody has to do about, and nothing else; it is taken back when watching begins.
func TestReport(t *testing.T) {
	c := cli{Report: filepath.Join(t.TempDir(), "watch.json")}
	limit := fmt.Errorf("watch /nfs: %w", problem.As(problem.NoWatches, errors.New("too few")))
	for _, step := range []struct {
		err  error
		want string
	}{
		{limit, `{"problem":"watch /nfs: too few","problem_id":"exhausted-watches"}`},
		{nil, `{}`},
		{errors.New("the share is gone"), `{}`},
	} {
		c.say(step.err)
		if text, err := os.ReadFile(c.Report); err != nil || string(text) != step.want {
			t.Errorf("%v: %s, %v; want %s", step.err, text, err, step.want)
		}
	}
}

// What was said of an earlier try is not true any more when the share cannot even be opened.
func TestReportWithoutAShare(t *testing.T) {
	c := cli{Share: filepath.Join(t.TempDir(), "nfs"), Report: filepath.Join(t.TempDir(), "watch.json")}
	c.say(problem.As(problem.NoWatches, errors.New("too few")))
	err := c.Run(t.Context())
	if text, failed := os.ReadFile(c.Report); err == nil || failed != nil || string(text) != "{}" {
		t.Errorf("%v: %s, %v", err, text, failed)
	}
}
