package watch

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// packed is events as the kernel hands them out.
func packed(events ...event) (raw []byte) {
	for _, e := range events {
		name := []byte(e.name)
		if len(name) > 0 {
			name = append(name, make([]byte, eventBytes-len(name)%eventBytes)...)
		}
		raw = binary.NativeEndian.AppendUint32(raw, uint32(e.wd))
		raw = binary.NativeEndian.AppendUint32(raw, e.mask)
		raw = binary.NativeEndian.AppendUint32(raw, 0)
		raw = binary.NativeEndian.AppendUint32(raw, uint32(len(name)))
		raw = append(raw, name...)
	}
	return raw
}

func TestCut(t *testing.T) {
	want := []event{{1, unix.IN_CREATE | unix.IN_ISDIR, "d"}, {2, unix.IN_ATTRIB, ""}, {-1, unix.IN_Q_OVERFLOW, ""}, {3, unix.IN_MODIFY, "sixteen bytes it is"}}
	raw := packed(want...)
	if n := losses(raw); n != 1 {
		t.Errorf("%d losses", n)
	}
	var got []event
	for rest := raw; len(rest) > 0; {
		var e event
		var err error
		e, rest, err = cut(rest)
		must(t, err)
		got = append(got, e)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for _, short := range []int{1, eventBytes - 1, eventBytes + 3} {
		if _, _, err := cut(raw[:short]); err == nil {
			t.Errorf("%d bytes are taken for an event", short)
		}
	}
}

// Whatever bytes come, taking them apart ends.
func FuzzCut(f *testing.F) {
	f.Add(packed(event{1, unix.IN_CREATE, "d"}, event{-1, unix.IN_Q_OVERFLOW, ""}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		losses(raw)
		for len(raw) > 0 {
			var err error
			if _, raw, err = cut(raw); err != nil {
				return
			}
		}
	})
}
