// Package workload is a client that measures: a program that uses the share as the cluster's own programs do, and keeps a log of what
// each operation came to. From that log it can be told, without asking the cluster, how long clients had to wait and which
// files were lost.
//
// client.go works and logs, judge.go is pure: it reads logs.
package workload

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Kind of operation.
type Kind string

const (
	Write   Kind = "write"   // create, write, close
	Replace Kind = "replace" // the same under another name, then rename
	Read    Kind = "read"    // read an earlier file and check every byte
)

// Outcome of an operation.
type Outcome string

const (
	Good      Outcome = "good"
	Failed    Outcome = "failed"    // the system returned an error
	Missing   Outcome = "missing"   // an acknowledged file was not there
	Different Outcome = "different" // an acknowledged file held other bytes
	Hanging   Outcome = "hanging"   // had not returned when the client was told to end
)

// Operation is one line of the log. A file is acknowledged when a write or replace of it was good.
type Operation struct {
	Start   int64   `json:"start"` // ns since 1970
	End     int64   `json:"end"`
	Kind    Kind    `json:"kind"`
	File    string  `json:"file"` // name below the client's directory
	Outcome Outcome `json:"outcome"`
	Error   string  `json:"error,omitempty"`
}

// Took is how long the operation lasted.
func (o Operation) Took() time.Duration { return time.Duration(o.End - o.Start) }

// Started is when the operation began, as a time.
func (o Operation) Started() time.Time { return time.Unix(0, o.Start) }

// Ended is when the operation returned, as a time.
func (o Operation) Ended() time.Time { return time.Unix(0, o.End) }

// Content is what the file of that name holds: different for every file, so that a mix-up is seen.
func Content(file string) []byte {
	line := fmt.Sprintf("management file %s\n", file)
	return []byte(strings.Repeat(line, 1+1024/len(line)))
}

// verdict compares what was read of a file with what was written.
func verdict(file string, text []byte) (Outcome, string) {
	if want := Content(file); !bytes.Equal(text, want) {
		return Different, fmt.Sprintf("%d bytes, expected %d of %q", len(text), len(want), firstLine(want))
	}
	return Good, ""
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(line)
}

// ReadLog reads a log in the order in which the operations returned. A last line that is not whole is left out: the client may still be writing.
func ReadLog(r io.Reader) ([]Operation, error) {
	var all []Operation
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		var o Operation
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, o)
	}
}
