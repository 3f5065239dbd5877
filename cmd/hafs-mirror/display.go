package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// display is some lines on a terminal that are shown in place of those before.
type display struct {
	out   io.Writer // nil: nothing is shown
	width func() int
	lines int // that are shown
}

// onTerminal shows nothing if there is none.
func onTerminal(f *os.File) *display {
	if !isatty.IsTerminal(f.Fd()) {
		return &display{}
	}
	return &display{out: f, width: func() int {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col == 0 {
			return 80
		}
		return int(size.Col)
	}}
}

// show takes the lines away that are shown, and shows others. A line that is too long is cut: on two rows it could not be taken away.
func (d *display) show(lines []string) {
	if d.out == nil || len(lines)+d.lines == 0 {
		return
	}
	var text strings.Builder
	if d.lines > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\x1b[J", d.lines) // up, and clear from there
	}
	for _, line := range lines {
		cut := []rune(line)
		text.WriteString(string(cut[:min(len(cut), d.width())]) + "\r\n")
	}
	d.lines = len(lines)
	_, _ = io.WriteString(d.out, text.String())
}
