package witness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"hafs/lib/lab/guests"
)

// Journal prints what the units of HAFS on a guest said: the last lines of them, or with lines 0 all since a moment.
func Journal(ctx context.Context, l *guests.Lab, name string, since time.Time, lines int, out io.Writer) error {
	m, err := guests.Find(name)
	if err != nil {
		return err
	}
	command := []string{"journalctl", "--no-pager", "-q", "-o", "cat", "-u", "hafs-*"}
	if !since.IsZero() {
		command = append(command, "--since=@"+strconv.FormatInt(since.Unix(), 10))
	}
	if lines > 0 {
		command = append(command, "-n", strconv.Itoa(lines))
	}
	var complaints bytes.Buffer
	status, err := l.Exec(ctx, m, command, guests.Streams{Out: out, Err: &complaints})
	if err == nil && status != 0 {
		err = fmt.Errorf("journalctl on %s: exit status %d: %s", name, status, bytes.TrimSpace(complaints.Bytes()))
	}
	return err
}
