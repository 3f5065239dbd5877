package main

import (
	"strings"
	"testing"
)

func TestLinesAreShownInPlaceOfThoseBefore(t *testing.T) {
	var out strings.Builder
	d := &display{out: &out, width: func() int { return 10 }}
	for _, step := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"W3: reached", "M2: late"}, "W3: reache\r\nM2: late\r\n"},
		{[]string{"W3"}, "\x1b[2A\x1b[JW3\r\n"},
		{nil, "\x1b[1A\x1b[J"},
		{nil, ""},
	} {
		out.Reset()
		if d.show(step.lines); out.String() != step.want {
			t.Errorf("%v: %q, not %q", step.lines, out.String(), step.want)
		}
	}
}
