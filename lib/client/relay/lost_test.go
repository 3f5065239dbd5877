package relay

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"

	wire "hafs/lib/client/sftp"
)

// What a lost server acknowledged on files that are open: servers a and b are not twins here, b is a replica that has fallen behind.

const (
	anew      = os.O_RDWR | os.O_CREATE | os.O_EXCL
	overwrite = os.O_RDWR | os.O_CREATE | os.O_TRUNC
	inPlace   = os.O_RDWR
	appending = os.O_WRONLY | os.O_APPEND
)

func open(t *testing.T, client *sftp.Client, name string, flags int) *sftp.File {
	t.Helper()
	f, err := client.OpenFile(name, flags)
	if err != nil {
		t.Fatal("open:", err)
	}
	return f
}

func write(t *testing.T, f *sftp.File, text string) {
	t.Helper()
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal("write:", err)
	}
}

func put(t *testing.T, directory, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// expect compares a file; an absent one is "absent".
func expect(t *testing.T, directory, name, want string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(directory, name))
	if os.IsNotExist(err) {
		text = []byte("absent")
	}
	if string(text) != want {
		t.Errorf("%s holds %.60q, want %.60q", name, text, want)
	}
}

// In each situation a program opens "f" on server a and does something, a is lost, and the program writes " more" and closes on server b.
func TestServerIsLostWhileAFileIsOpen(t *testing.T) {
	texts := func(texts ...string) func(*testing.T, *sftp.File) {
		return func(t *testing.T, f *sftp.File) {
			for _, text := range texts {
				write(t, f, text)
			}
		}
	}
	for situation, c := range map[string]struct {
		before  string // content on a, "" for none
		flags   int
		do      func(*testing.T, *sftp.File)
		replica string // content on b, "absent" for none
		want    string // afterwards; "" when the program gets an error and b is left as it is
	}{
		"new file, replica has it empty":              {"", anew, texts("one", " two"), "", "one two more"},
		"new file, replica has none":                  {"", anew, texts("one", " two"), "absent", "one two more"},
		"new file, replica has part of it":            {"", anew, texts("one", " two"), "one", "one two more"},
		"truncated file, replica is older and longer": {"old", overwrite, texts("one"), "older, and much longer", "one more"},
		"truncated file without creation":             {"old", os.O_WRONLY | os.O_TRUNC, texts("one"), "older, and longer", "one more"},
		"truncated file without creation, no replica": {"old", os.O_WRONLY | os.O_TRUNC, texts("one"), "absent", ""},
		"nothing written yet to a new file":           {"", anew, texts(), "absent", " more"},
		"edited in place":                             {"0123456789", inPlace, texts("ab"), "0123456789", "ab more789"},
		"edited in place, replica has none":           {"0123456789", inPlace, texts("ab"), "absent", ""},
		"created or edited, replica has none":         {"", os.O_RDWR | os.O_CREATE, texts("ab"), "absent", "ab more"},
		"synced, replica is behind": {"", anew, func(t *testing.T, f *sftp.File) {
			write(t, f, "one")
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}, "", "one more"},
		"cut in the middle": {"", anew, func(t *testing.T, f *sftp.File) {
			write(t, f, "one two three")
			if err := f.Truncate(3); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Seek(3, 0); err != nil {
				t.Fatal(err)
			}
		}, "", "one more"},
		"appended, replica may have it already":    {"log ", appending, texts("one"), "log one", ""},
		"opened to append, nothing written":        {"log", appending, texts(), "log", "log more"},
		"appended to a file that was truncated":    {"log", appending | os.O_CREATE | os.O_TRUNC, texts("one"), "log one", "one more"},
		"appended to a new file, replica has none": {"", appending | os.O_CREATE, texts("one"), "absent", "one more"},
		"appended to a new file, replica has some": {"", appending | os.O_CREATE, texts("one"), "on", ""},
		"a change that failed": {"0123456789", inPlace, func(t *testing.T, f *sftp.File) {
			if err := f.Truncate(-1); err == nil {
				t.Fatal("a file of a negative size")
			}
		}, "0123456789", " more56789"},
		"more than is remembered": {"", anew, texts(strings.Repeat("x", memoryPerHandle+1)), "", ""},
	} {
		t.Run(situation, func(t *testing.T) {
			a, b := twins(t, nil)
			if c.before != "" {
				put(t, a, "f", c.before)
			}
			s, client := start(t, a)
			f := open(t, client, "f", c.flags)
			c.do(t, f)
			if c.replica != "absent" {
				put(t, b, "f", c.replica)
			}
			s.move(b)
			_, writing := f.Write([]byte(" more"))
			closing := f.Close()
			if c.want == "" {
				if writing == nil || closing == nil {
					t.Errorf("a lost file is fine: write %v, close %v", writing, closing)
				}
				expect(t, b, "f", c.replica)
			} else {
				if writing != nil || closing != nil {
					t.Errorf("write: %v, close: %v", writing, closing)
				}
				expect(t, b, "f", c.want)
			}
			s.holdsNothing()
		})
	}
}

// The defect as it was seen: the server froze between the answer to WRITE and the one to CLOSE, and its replica had the empty file.
func TestCloseIsRepeatedOnAReplicaWithAnEmptyFile(t *testing.T) {
	a, b := twins(t, nil)
	s, client := start(t, a)
	f := open(t, client, "f", anew)
	write(t, f, "acknowledged")
	s.mu.Lock()
	s.freeze()
	s.mu.Unlock()
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	s.awaitPending(1)
	put(t, b, "f", "")
	s.move(b)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	expect(t, b, "f", "acknowledged")
	s.holdsNothing()
}

func TestSecondServerIsLostToo(t *testing.T) {
	a, b := twins(t, nil)
	c := t.TempDir()
	s, client := start(t, a)
	f := open(t, client, "f", anew)
	write(t, f, "one")
	s.move(b)
	write(t, f, " two")
	s.move(c)
	write(t, f, " three")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "f", "one two three")
}

func TestAClosedFileIsNotReproduced(t *testing.T) {
	a, b := twins(t, nil)
	s, client := start(t, a)
	f := open(t, client, "f", anew)
	write(t, f, "one")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.holdsNothing()
	s.move(b)
	if _, err := client.Stat("f"); err == nil {
		t.Error("the mirror's business was done by the relay")
	}
}

func TestReadingOrEditingNeverCreates(t *testing.T) {
	for _, flags := range []int{os.O_RDONLY, os.O_RDONLY | os.O_CREATE, inPlace, os.O_WRONLY} {
		a, b := twins(t, nil)
		put(t, a, "f", "content")
		put(t, b, "other", "")
		put(t, a, "other", "")
		s, client := start(t, a)
		f := open(t, client, "f", flags)
		open(t, client, "other", inPlace) // gets the name on b that f had on a
		s.move(b)
		if _, err := f.Stat(); err == nil {
			t.Errorf("flags %#x: an empty file stands in for a lost one", flags)
		}
		_ = f.Close()
		expect(t, b, "f", "absent")
	}
}

func TestNextServerIsFull(t *testing.T) {
	a, b := twins(t, nil)
	s, client := start(t, a)
	f := open(t, client, "f", anew)
	write(t, f, "one")
	if err := os.Symlink("/dev/full", filepath.Join(b, "f")); err != nil {
		t.Fatal(err)
	}
	s.move(b)
	if err := f.Close(); err == nil {
		t.Error("a write that the next server could not repeat was lost without an error")
	}
	s.holdsNothing()
}

func TestOpenFileIsRenamedBeforeTheServerIsLost(t *testing.T) {
	a, b := twins(t, map[string]string{"final": "old"})
	for _, dir := range []string{a, b} {
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, client := start(t, a)
	f, g := open(t, client, "temporary", anew), open(t, client, "d/g", anew)
	write(t, f, "new")
	write(t, g, "inside")
	if err := client.PosixRename("temporary", "final"); err != nil {
		t.Fatal(err)
	}
	if err := client.Rename("d", "e"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(b, "d"), filepath.Join(b, "e")); err != nil {
		t.Fatal(err)
	}
	s.move(b)
	for _, f := range []*sftp.File{f, g} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, b, "temporary", "absent")
	expect(t, b, "final", "new")
	expect(t, b, "e/g", "inside")
}

// The name belongs to another file, or to none: what the handle wrote went with the old one.
func TestOpenFileHasLostItsName(t *testing.T) {
	a, b := twins(t, map[string]string{"other": "other"})
	s, client := start(t, a)
	replaced, removed := open(t, client, "replaced", anew), open(t, client, "removed", anew)
	write(t, replaced, "gone")
	write(t, removed, "gone")
	if err := client.PosixRename("other", "replaced"); err != nil {
		t.Fatal(err)
	}
	if err := client.Remove("removed"); err != nil {
		t.Fatal(err)
	}
	put(t, b, "replaced", "other")
	s.move(b)
	if replaced.Close() == nil || removed.Close() == nil {
		t.Error("a file without a name was closed well")
	}
	expect(t, b, "replaced", "other")
	expect(t, b, "removed", "absent")
	s.holdsNothing()
}

func TestModeSetByNameOfAnOpenFile(t *testing.T) {
	a, b := twins(t, nil)
	s, client := start(t, a)
	f := open(t, client, "f", anew)
	if err := client.Chmod("f", 0o640); err != nil {
		t.Fatal(err)
	}
	s.move(b)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(b, "f"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatal(info, err)
	}
}

// One file open twice: the changes come back in the order in which they were acknowledged.
func TestTwoHandlesOfOneFile(t *testing.T) {
	a, b := twins(t, nil)
	s, client := start(t, a)
	first := open(t, client, "f", anew)
	write(t, first, "to be cut off")
	second := open(t, client, "f", overwrite)
	write(t, second, "second")
	if _, err := first.WriteAt([]byte("F"), 0); err != nil {
		t.Fatal(err)
	}
	s.move(b)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "f", "Fecond")
	s.holdsNothing()
}

// What the second handle wrote is closed and no longer remembered: the first must not bring back the time before.
func TestSecondHandleOfAFileIsClosed(t *testing.T) {
	for written, want := range map[string]string{"": "whole", "old": "whole"} {
		a, b := twins(t, nil)
		s, client := start(t, a)
		first := open(t, client, "f", anew)
		if written != "" {
			write(t, first, written)
		}
		second := open(t, client, "f", inPlace)
		write(t, second, "whole")
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		put(t, b, "f", "whole")
		s.move(b)
		if err := first.Close(); (err == nil) != (written == "") {
			t.Errorf("first wrote %q: close: %v", written, err)
		}
		expect(t, b, "f", want)
		s.holdsNothing()
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := newRelay()
	p := wire.NewPacket(wire.Write, 1, make([]byte, memoryPerHandle/2))
	var handles []*handle
	for i := range memoryInAll/memoryPerHandle*2 + 10 {
		h := &handle{flags: wire.FlagWrite}
		r.handles[string(binary.BigEndian.AppendUint64(nil, uint64(i)))] = h
		handles = append(handles, h)
		r.remember(h, p)
		if r.remembered > memoryInAll {
			t.Fatalf("%d bytes are remembered, at most %d may be", r.remembered, memoryInAll)
		}
	}
	if last := handles[len(handles)-1]; !last.forgotten {
		t.Error("a handle beyond the bound is not given up")
	}
	r.remember(handles[0], p)
	if !handles[0].forgotten || handles[0].remembered != 0 {
		t.Error("a handle beyond its own bound is not given up")
	}
	for name := range r.handles {
		r.forget(name)
	}
	if r.remembered != 0 {
		t.Errorf("%d bytes are left", r.remembered)
	}
}

// Many programs write while servers change all the time: whatever is closed well is whole on the server that serves then.
func TestClosedWellIsWholeWhileServersChange(t *testing.T) {
	a, b := twins(t, nil)
	s, client := start(t, a)
	content := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	stop := time.Now().Add(time.Second)
	for i := 0; time.Now().Before(stop); i++ {
		f := open(t, client, "f", []int{overwrite, overwrite | os.O_APPEND}[i%2])
		if _, err := f.Write(content); err != nil {
			t.Fatal("write:", err)
		}
		s.move([]string{b, a}[i%2])
		if err := f.Close(); err != nil {
			t.Fatal("close:", err)
		}
		expect(t, []string{b, a}[i%2], "f", string(content))
	}
	s.holdsNothing()
}

// holdsNothing says that no memory is left once all files are closed.
func (s *site) holdsNothing() {
	s.t.Helper()
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	if len(s.relay.handles) != 0 || s.relay.remembered != 0 {
		s.t.Errorf("%d handles and %d bytes are left", len(s.relay.handles), s.relay.remembered)
	}
}

// awaitPending waits until the client has so many requests unanswered.
func (s *site) awaitPending(n int) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		s.relay.mu.Lock()
		pending := len(s.relay.pending)
		s.relay.mu.Unlock()
		if pending == n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d requests are unanswered, want %d", pending, n)
		}
		time.Sleep(time.Millisecond)
	}
}
