package watch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// event is one inotify_event of inotify(7). Cookies are left out: a directory is known by its watch, wherever it appears.
type event struct {
	wd   int32
	mask uint32
	name string // in the watched directory; empty: the directory itself
}

// eventBytes is the fixed part of an event; its name follows, filled up with zeros.
const eventBytes = unix.SizeofInotifyEvent

// maxEventBytes is the longest event there is.
const maxEventBytes = eventBytes + unix.NAME_MAX + 1

// cut takes the first event from what was read from the kernel.
func cut(raw []byte) (e event, rest []byte, err error) {
	if len(raw) < eventBytes {
		return event{}, nil, fmt.Errorf("half of an event: %d bytes", len(raw))
	}
	e.wd = int32(binary.NativeEndian.Uint32(raw))
	e.mask = binary.NativeEndian.Uint32(raw[4:])
	end := eventBytes + uint64(binary.NativeEndian.Uint32(raw[12:]))
	if uint64(len(raw)) < end {
		return event{}, nil, fmt.Errorf("half of an event: %d of %d bytes", len(raw), end)
	}
	name, _, _ := bytes.Cut(raw[eventBytes:end], []byte{0})
	e.name = string(name)
	return e, raw[end:], nil
}

// losses counts the marks of lost events, without the work of taking the events apart.
func losses(raw []byte) (n int) {
	for len(raw) >= eventBytes {
		if binary.NativeEndian.Uint32(raw[4:])&unix.IN_Q_OVERFLOW != 0 {
			n++
		}
		raw = raw[min(len(raw), eventBytes+int(binary.NativeEndian.Uint32(raw[12:]))):]
	}
	return n
}

func (e event) overflow() bool       { return e.has(unix.IN_Q_OVERFLOW) }
func (e event) has(mask uint32) bool { return e.mask&mask != 0 }

// appears: something has this name now that may not have had it. vanishes: what had this name has it no more.
func (e event) appears() bool  { return e.has(unix.IN_CREATE | unix.IN_MOVED_TO) }
func (e event) vanishes() bool { return e.has(unix.IN_DELETE | unix.IN_MOVED_FROM) }

var maskNames = []struct {
	bit  uint32
	name string
}{
	{unix.IN_CREATE, "CREATE"}, {unix.IN_DELETE, "DELETE"}, {unix.IN_MODIFY, "MODIFY"}, {unix.IN_ATTRIB, "ATTRIB"},
	{unix.IN_MOVED_FROM, "MOVED_FROM"}, {unix.IN_MOVED_TO, "MOVED_TO"}, {unix.IN_DELETE_SELF, "DELETE_SELF"},
	{unix.IN_MOVE_SELF, "MOVE_SELF"}, {unix.IN_UNMOUNT, "UNMOUNT"}, {unix.IN_IGNORED, "IGNORED"},
	{unix.IN_Q_OVERFLOW, "Q_OVERFLOW"}, {unix.IN_ISDIR, "ISDIR"},
}

// describe is the event as the kernel names it, for people.
func (e event) describe(path string) string {
	var words []string
	for _, m := range maskNames {
		if e.has(m.bit) {
			words = append(words, m.name)
		}
	}
	return fmt.Sprintf("%s %q", strings.Join(words, "|"), path)
}
