// Package errand is what the benchmark has done on a guest: a change to files, or the wait until a replica shows it. Times are taken there, by the
// clock that all guests of one machine share, so that no command's start and no connection is part of a measurement.
//
// Whoever waits disturbs little: single files are noticed by inotify, trees are looked at by names, with pauses several times as long as
// a look, and bytes are read only when all names are right. A moment counts from the look after which everything was found right.
//
// content.go is pure.
package errand

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Done is a change: when its first call began and when its last one returned.
type Done struct {
	File  string `json:"file,omitempty"`
	Begun int64  `json:"begun"` // ns since 1970
	Ended int64  `json:"ended"`
}

// Seen is when a replica showed a change.
type Seen struct {
	File string `json:"file,omitempty"`
	At   int64  `json:"at"` // ns since 1970
}

// Ready is printed before anything else by whoever waits.
const Ready = "ready"

func tell(out io.Writer, value any) error { return json.NewEncoder(out).Encode(value) }

func now() int64 { return time.Now().UnixNano() }

// then runs a program without arguments, for subjects that have to be told that something changed; "" stands for none.
func then(ctx context.Context, program string) error {
	if program == "" {
		return nil
	}
	said, err := exec.CommandContext(ctx, program).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, said)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
