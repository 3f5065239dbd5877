package mirror

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"hafs/lib/replication/change"
)

// maxLineBytes holds any line that change.Change can write: every byte of the longest path escaped.
const maxLineBytes = 4*4096 + 64

// Feed reads lines and reports their changes until the input ends. A line that is damaged is an error, or, when tolerant, a reason to compare
// everything: it may have been about anything.
func (m *Mirror) Feed(ctx context.Context, in io.Reader, tolerant bool) error {
	lines := bufio.NewReaderSize(in, maxLineBytes)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		for tolerant && errors.Is(err, bufio.ErrBufferFull) { // read to the end of what is no line of ours
			_, err = lines.ReadSlice('\n')
			line = []byte("too long\n")
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) > 0 && !tolerant) {
			return fmt.Errorf("line %d: %w", number, unfinished(err))
		}
		if err == nil {
			c, parseErr := change.Parse(strings.TrimSuffix(string(line), "\n"))
			if parseErr != nil && !tolerant {
				return fmt.Errorf("line %d: %w", number, parseErr)
			}
			if parseErr != nil {
				m.Log.Warn().Err(parseErr).Msg("damaged line: comparing everything")
				c = change.Change{Kind: change.Rescan, Path: "."}
			}
			m.Report(c)
		}
		if err != nil {
			return nil
		}
	}
}

func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the last line has no end")
	}
	return err
}
