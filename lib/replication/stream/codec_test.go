package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"hafs/lib/replication/change"
)

// decode reads the body of any frame.
func decode(k kind, body []byte) (any, error) {
	c := cutter{rest: body}
	switch {
	case k == kindHello:
		return cutHello(body)
	case k == kindWelcome:
		return cutWelcome(body)
	case k == kindList:
		return cutListing(body)
	case k == kindLook:
		paths, _, err := cutPaths(body)
		return paths, err
	case k == kindEntries:
		found, _, err := cutEntries(body)
		return found, err
	case k == kindEnd:
		return cutPosition(body)
	case k == kindHistory:
		return cutHistory(body)
	case k == kindResult:
		return cutResult(body, Version)
	case k >= kindStep:
		s, err := cutStep(body)
		if err == nil {
			err = s.check(Op(k - kindStep))
		}
		return s, err
	case k == kindDone:
		e := c.entry()
		return e, c.end()
	}
	return nil, errors.New("without body")
}

// encode is the inverse of decode.
func encode(k kind, message any) []byte {
	switch m := message.(type) {
	case Hello:
		return appendHello(nil, m)
	case Welcome:
		return appendWelcome(nil, m)
	case Listing:
		return appendListing(nil, m)
	case []string:
		return appendPaths(nil, false, m)
	case []Found:
		body, before := []byte{0}, ""
		for _, f := range m {
			body = appendFound(body, before, f)
			before = f.Path
		}
		return body
	case history:
		return appendHistory(nil, m)
	case *change.Position:
		return appendPosition(nil, m)
	case Result:
		return appendResult(nil, m, Version)
	case Step:
		return append(appendStep(nil, m), m.Data...)
	case *change.Entry:
		return appendEntry(nil, m)
	}
	panic(k)
}

func messages() map[kind][]any {
	file := &change.Entry{Kind: change.File, Size: 1 << 40, Mtime: -5, Mode: 0o4755, UID: 7, GID: 8, Dev: 1, Ino: 2, Nlink: 3}
	link := &change.Entry{Kind: change.Symlink, Target: "\xff/../x", Mode: 0o777, Mtime: 1e18}
	directory := &change.Entry{Kind: change.Directory, Mode: 0o1777}
	acl := change.XattrsOf(map[string]string{"system.posix_acl_default": "\x02\x00", "user.long": strings.Repeat("x", 100)})
	directory.Xattrs = acl
	told := &change.Entry{Kind: change.Directory, Xattrs: acl.Digest()}
	return map[kind][]any{
		kindHello:   {Hello{Version: Version}, Hello{Version, "lab", 7, "L1", []byte("cluster: lab\n"), true, true}, Hello{Version: Version, Marker: []byte{}}},
		kindWelcome: {Welcome{Version: Version}, Welcome{Version, "lab", change.Position{Generation: 3, Number: 4, Complete: true}}},
		kindList:    {Listing{Directory: "."}, Listing{"a/b", "a/b/c", 4096, true}},
		kindLook:    {[]string{".", "a", "a/\xff\n"}},
		kindEntries: {[]Found{
			{Path: "a", Entry: directory}, {Path: "a/b", Entry: file, Sum: &Sum{1, 2}}, {Path: "a/b c", Entry: link}, {Path: "b"},
			{Path: "c", Problem: &Problem{"no", 5}}, {Path: ".", Entry: &change.Entry{Kind: change.Special}}, {Path: "e", Entry: told},
		}},
		kindEnd:                          {(*change.Position)(nil), &change.Position{Generation: 3, Number: 1 << 60, Complete: true, Exact: true}},
		kindResult:                       {Result{}, Result{Count: 30, Problems: []Problem{{"a", 0}, {"b", 28}}, Of: []int{0, 77}, Full: true, Failed: map[int]bool{0: true, 77: true}}},
		kindStep + kind(OpWrite):         {Step{Path: "a/b", Aside: true, Entry: file, Data: []byte("content")}},
		kindStep + kind(OpWriteLarge):    {Step{Path: "a/b", Blocks: true, Entry: file}, Step{Path: "a/b", Blocks: true, InPlace: true, Entry: file, Old: file}},
		kindStep + kind(OpMakeDirectory): {Step{Path: "d", Entry: directory}},
		kindStep + kind(OpSymlink):       {Step{Path: "l", Entry: link}},
		kindStep + kind(OpAttributes):    {Step{Path: "l", Entry: link}},
		kindStep + kind(OpLink):          {Step{Path: "x", From: "y", Entry: file}},
		kindStep + kind(OpDelete):        {Step{Path: "x"}},
		kindStep + kind(OpFinish):        {Step{Path: ".", Entry: directory}},
		kindDone:                         {file},
		kindHistory:                      {history{}, history{true, change.Position{Generation: 3, Number: 4, Complete: true, Exact: true}, []change.Change{{Kind: change.Look, Path: "a/b"}, {Kind: change.Rescan, Path: "."}}}},
	}
}

func TestWhatIsSaidIsWhatArrives(t *testing.T) {
	for k, all := range messages() {
		for _, m := range all {
			wire := appendFrame(nil, k, encode(k, m))
			f, err := readFrame(iotest.OneByteReader(bytes.NewReader(wire)))
			if err != nil || f.kind != k {
				t.Fatalf("kind %d, not %d: %v", f.kind, k, err)
			}
			got, err := decode(k, f.body)
			if s, is := got.(Step); is && len(s.Data) == 0 {
				s.Data = nil
				got = s
			}
			if err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("kind %d: %+v became %+v, %v", k, m, got, err)
			}
		}
	}
}

func TestDamagedFrames(t *testing.T) {
	wire := appendFrame(nil, kindLook, appendPaths(nil, false, []string{"some/path"}))
	for i := range 8 * len(wire) {
		damaged := bytes.Clone(wire)
		damaged[i/8] ^= 1 << (i % 8)
		if f, err := readFrame(bytes.NewReader(damaged)); err == nil {
			t.Fatalf("bit %d flipped: %v", i, f)
		}
	}
	for n := range wire {
		_, err := readFrame(bytes.NewReader(wire[:n]))
		if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, ErrFrame) {
			t.Errorf("%d of %d bytes: %v", n, len(wire), err)
		}
	}
	for _, length := range [][]byte{{0, 0, 0, 0}, {0, 16, 0, 2}, {255, 255, 255, 255}} {
		if _, err := readFrame(bytes.NewReader(append(length, make([]byte, 100)...))); !errors.Is(err, ErrFrame) || !strings.Contains(err.Error(), "length") {
			t.Errorf("length %v: %v", length, err)
		}
	}
	if _, err := readFrame(bytes.NewReader(appendFrame(nil, kindData, make([]byte, maxBody)))); err != nil {
		t.Errorf("the largest frame: %v", err)
	}
}

func TestAnotherVersionIsNamed(t *testing.T) {
	body := appendHello(nil, Hello{Cluster: "lab"})
	later := append(bytes.Clone(body), "what later versions add"...)
	later[1] = 9
	if h, err := cutHello(later); err != nil || h.Version != Version || h.Cluster != "lab" {
		t.Errorf("a sender that knows this version too: %+v, %v", h, err)
	}
	for _, versions := range [][2]byte{{9, 9}, {1, 1}} {
		body[1], body[3] = versions[0], versions[1]
		want := fmt.Sprintf("the sender speaks versions %d to %d of the stream, the receiver 2 to 5", versions[1], versions[0])
		if _, err := cutHello(body); err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
	}
	body = appendWelcome(nil, Welcome{Version: 9, Cluster: "lab"})
	if _, err := cutWelcome(body); err == nil || err.Error() != "the receiver speaks version 9 of the stream, the sender 2 to 5" {
		t.Errorf("got %v", err)
	}
}

func TestPathsThatLeadOut(t *testing.T) {
	for _, path := range []string{"", "/x", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "a\x00b", strings.Repeat("a", 256)} {
		if _, _, err := cutPaths(appendPaths(nil, false, []string{path})); !errors.Is(err, ErrFrame) {
			t.Errorf("look at %q: %v", path, err)
		}
		if _, err := cutStep(appendStep(nil, Step{Path: path})); !errors.Is(err, ErrFrame) {
			t.Errorf("step on %q: %v", path, err)
		}
		if _, err := cutStep(appendStep(nil, Step{Path: "a", From: path})); path != "" && !errors.Is(err, ErrFrame) {
			t.Errorf("link to %q: %v", path, err)
		}
		if _, _, err := cutEntries(appendFound([]byte{1}, "", Found{Path: path})); !errors.Is(err, ErrFrame) {
			t.Errorf("answer for %q: %v", path, err)
		}
	}
	for op := range lastOp + 2 {
		for _, s := range []Step{{Path: "."}, {Path: "a", From: "."}, {Path: "a", Entry: &change.Entry{Kind: change.Special}, Data: []byte("x")}} {
			if op == OpFinish && s.Path == "." {
				s.Entry = nil
			}
			if err := s.check(op); !errors.Is(err, ErrFrame) {
				t.Errorf("step %d, %+v: %v", op, s, err)
			}
		}
	}
}

// Attributes that are not replicated, too many, or not said what they are, are in no step.
func TestAttributesInSteps(t *testing.T) {
	value := "\x00\x00\x00\x01v"
	entry := func(x change.Xattrs) *change.Entry { return &change.Entry{Kind: change.Directory, Xattrs: x} }
	for name, x := range map[string]change.Xattrs{
		"foreign":   change.Xattrs("\x10security.selinux" + value),
		"twice":     change.Xattrs("\x06user.a" + value + "\x06user.a" + value),
		"cut short": change.Xattrs("\x06user.a\x00\x00\x00\x02v"),
		"too many":  change.Xattrs(strings.Repeat("x", change.MaxXattrsBytes+1)),
		"digest":    change.XattrsOf(map[string]string{"user.a": strings.Repeat("x", 100)}).Digest(),
	} {
		s, err := cutStep(appendStep(nil, Step{Path: "a", Entry: entry(x)}))
		if err == nil {
			err = s.check(OpAttributes)
		}
		if !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := cutStep(appendStep(nil, Step{Path: "a", Entry: entry(change.UnknownXattrs)}))
	if err != nil || s.check(OpAttributes) != nil {
		t.Errorf("to be left alone: %v, %v", err, s.check(OpAttributes))
	}
}

// Whatever arrives is refused, or means what it would be written as.
func FuzzDecode(f *testing.F) {
	for k, all := range messages() {
		for _, m := range all {
			f.Add(byte(k), encode(k, m))
		}
	}
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		m, err := decode(kind(k), body)
		if err != nil {
			return
		}
		again, err := decode(kind(k), encode(kind(k), m))
		if err != nil || !reflect.DeepEqual(m, again) && len(body) > 0 {
			t.Errorf("kind %d: %+v became %+v, %v", k, m, again, err)
		}
	})
}

// Whatever bytes arrive: a frame is refused, or is what it would be written as, and takes no byte of the next one.
func FuzzReadFrame(f *testing.F) {
	for _, wire := range [][]byte{
		appendFrame(nil, kindEnd), appendFrame(nil, kindHole, make([]byte, 16)), appendFrame(appendFrame(nil, kindData, []byte("some content")), kindGiveUp),
		{0, 0, 0, 0}, {255, 255, 255, 255, 1, 2, 3},
	} {
		f.Add(wire, false)
		f.Add(wire, true)
	}
	f.Fuzz(func(t *testing.T, wire []byte, repair bool) {
		if room := len(wire) - lengthBytes - checksumBytes; repair && room > 0 { // no luck finds a checksum
			wire = bytes.Clone(wire)
			n := 1 + int(binary.BigEndian.Uint32(wire)%uint32(room))
			binary.BigEndian.PutUint32(wire, uint32(n))
			binary.BigEndian.PutUint32(wire[lengthBytes+n:], crc32.Checksum(wire[lengthBytes:lengthBytes+n], castagnoli))
		}
		in := bytes.NewReader(wire)
		got, err := readFrame(in)
		if err != nil {
			return
		}
		used := wire[:len(wire)-in.Len()]
		if again := appendFrame(nil, got.kind, got.body); !bytes.Equal(again, used) {
			t.Errorf("%x is read as kind %d %x and written as %x", used, got.kind, got.body, again)
		}
	})
}

// Whatever arrives as an entry is refused, or is what it would be written as; what comes after it is left.
func FuzzEntry(f *testing.F) {
	for _, all := range messages() {
		for _, m := range all {
			switch m := m.(type) {
			case Step:
				f.Add(appendEntry(nil, m.Entry))
			case []Found:
				for _, found := range m {
					f.Add(appendEntry(nil, found.Entry))
				}
			}
		}
	}
	foreign := appendEntry(nil, &change.Entry{Kind: change.Directory, Xattrs: change.Xattrs("\x10security.selinux\x00\x00\x00\x01v")})
	f.Add(foreign)
	f.Add(foreign[:len(foreign)-1])
	f.Fuzz(func(t *testing.T, body []byte) {
		c := cutter{rest: body}
		e := c.entry()
		if c.err != nil {
			return
		}
		if again := appendEntry(nil, e); !bytes.Equal(again, body[:len(body)-len(c.rest)]) {
			t.Errorf("%x is read as %+v and written as %x", body, e, again)
		}
		if e != nil && e.Xattrs.Check() != nil {
			t.Errorf("%x is accepted with attributes %q", body, e.Xattrs)
		}
	})
}

// The order of a listing is that of a walk.
func TestOrderOfAListing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	path := func() string {
		names := make([]string, 1+rnd.IntN(3))
		for i := range names {
			names[i] = []string{"a", "a-", "a.b", "\x01", "\xff"}[rnd.IntN(5)]
		}
		return strings.Join(names, "/")
	}
	for range 10_000 {
		a, b := path(), path()
		slow := 0
		x, y := strings.Split(a, "/"), strings.Split(b, "/")
		for i := 0; slow == 0 && (i < len(x) || i < len(y)); i++ {
			switch {
			case i == len(x):
				slow = -1
			case i == len(y):
				slow = 1
			default:
				slow = strings.Compare(x[i], y[i])
			}
		}
		if got := Compare(a, b); max(-1, min(1, got)) != slow {
			t.Fatalf("%q, %q: %d, not %d", a, b, got, slow)
		}
	}
}
