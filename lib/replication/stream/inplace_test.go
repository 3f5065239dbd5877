package stream

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// place is a replica with a file that is to be changed in place.
type place struct {
	*Receiver
	path     string
	old, new []byte
	step     Step
	done     *change.Entry
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{Receiver: newReceiver(t)}
	p.path = filepath.Join(p.Path, "f")
	p.old = bytes.Repeat([]byte("old "), 2<<18)
	p.new = bytes.Clone(p.old)
	copy(p.new[1<<20:], "something else")
	must(t, os.WriteFile(p.path, p.old, 0o640))
	root, err := tree.Open(p.Path)
	must(t, err)
	defer root.Close()
	e, err := root.Lstat("f")
	must(t, err)
	p.step = Step{Path: "f", Blocks: true, InPlace: true, Old: e, Entry: e}
	changed := *e
	changed.Mtime = 12345
	p.done = &changed
	return p
}

func (p *place) change(s *Session) (Result, error) {
	b, err := s.Begin()
	if err != nil {
		return Result{}, err
	}
	_, err = b.Step(OpWriteLarge, p.step)
	err = errors.Join(err, b.Data(1<<20, p.new[1<<20:1<<20+BlockBytes]), b.Done(p.done))
	if err != nil {
		return Result{}, err
	}
	return b.End(nil)
}

func (p *place) content(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(p.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "none"
	case err != nil:
		t.Fatal(err)
	case bytes.Equal(content, p.old):
		return "old"
	case bytes.Equal(content, p.new):
		return "new"
	}
	return "neither"
}

func (p *place) nothingLeft(t *testing.T) {
	t.Helper()
	if names, err := filepath.Glob(p.Redo + "*"); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

func TestFileIsChangedInPlace(t *testing.T) {
	p := newPlace(t)
	result, err := p.change(open(t, p.Receiver))
	must(t, err)
	if result.Count > 0 || p.content(t) != "new" {
		t.Errorf("%+v, content %s", result, p.content(t))
	}
	var st unix.Stat_t
	must(t, unix.Stat(p.path, &st))
	if st.Ino != p.step.Old.Ino || st.Mtim.Nano() != p.done.Mtime {
		t.Errorf("inode %d at %d", st.Ino, st.Mtim.Nano())
	}
	p.nothingLeft(t)
}

// Wherever a change in place is interrupted for good, whoever comes next finds a file that is old, or makes it new before anybody is served.
func TestChangeInPlaceIsInterrupted(t *testing.T) {
	for step, want := range map[string]string{"open to rewrite": "old", "rewrite": "new", "set times": "new", "sync": "new"} {
		for _, next := range []string{"a session", "Recover"} {
			t.Run(step+" then "+next, func(t *testing.T) {
				p := newPlace(t)
				struck := false
				p.Before = func(at string) error {
					if struck = struck || at == step; struck {
						return unix.EDOM
					}
					return nil
				}
				s := open(t, p.Receiver)
				result, err := p.change(s)
				must(t, s.Close())
				if err == nil && result.Count == 0 {
					t.Fatal("it was not interrupted: this test proves nothing")
				}
				p.Before = nil
				r := &Receiver{Path: p.Path, Cluster: "test", Redo: p.Redo} // as after a restart
				if next == "Recover" {
					must(t, r.Recover())
				} else {
					open(t, r)
				}
				if got := p.content(t); got != want {
					t.Errorf("the file is %s", got)
				}
				if want == "new" {
					p.nothingLeft(t)
				}
			})
		}
	}
}

// What was written half when the machine went is whole once it was recovered.
func TestHalfWrittenFileIsRecovered(t *testing.T) {
	p := newPlace(t)
	p.Before = func(at string) error {
		if at == "rewrite" {
			f, err := os.OpenFile(p.path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("some"), 1<<20)
			must(t, errors.Join(err, f.Close()))
			return unix.EDOM
		}
		return nil
	}
	_, err := p.change(open(t, p.Receiver))
	if err == nil || p.content(t) != "neither" {
		t.Fatalf("%v, content %s", err, p.content(t))
	}
	p.Before = nil
	must(t, p.Recover())
	if p.content(t) != "new" {
		t.Errorf("content %s", p.content(t))
	}
	p.nothingLeft(t)
}

func TestRedoThatIsNotCarriedOut(t *testing.T) {
	interrupted := func(t *testing.T) *place {
		p := newPlace(t)
		p.Before = func(at string) error {
			if at == "rewrite" {
				return unix.EDOM
			}
			return nil
		}
		if _, err := p.change(open(t, p.Receiver)); err == nil {
			t.Fatal("not interrupted")
		}
		p.Before = nil
		return p
	}
	t.Run("it is cut short", func(t *testing.T) {
		p := interrupted(t)
		st, err := os.Stat(p.Redo)
		must(t, err)
		must(t, os.Truncate(p.Redo, st.Size()-10))
		must(t, p.Recover())
		if p.content(t) != "old" {
			t.Errorf("content %s", p.content(t))
		}
		p.nothingLeft(t)
	})
	t.Run("something else came", func(t *testing.T) {
		p := interrupted(t)
		must(t, os.WriteFile(p.path+"2", p.old, 0o600))
		must(t, os.Rename(p.path+"2", p.path))
		must(t, p.Recover())
		if p.content(t) != "old" {
			t.Errorf("content %s", p.content(t))
		}
		p.nothingLeft(t)
	})
	t.Run("the file is gone", func(t *testing.T) {
		p := interrupted(t)
		must(t, os.Remove(p.path))
		must(t, p.Recover())
		p.nothingLeft(t)
	})
	t.Run("the replica is not mounted", func(t *testing.T) {
		p := interrupted(t)
		away := p.Path + "-away"
		must(t, errors.Join(os.Rename(p.Path, away), os.Mkdir(p.Path, 0o755)))
		if err := p.Recover(); err == nil {
			t.Error("it was said to be whole")
		}
		must(t, errors.Join(os.Remove(p.Path), os.Rename(away, p.Path), p.Recover()))
		if p.content(t) != "new" {
			t.Errorf("content %s", p.content(t))
		}
	})
	t.Run("it cannot be carried out", func(t *testing.T) {
		p := interrupted(t)
		var noted []change.Position
		p.Note = func(p change.Position) error { noted = append(noted, p); return nil }
		p.Before = func(at string) error {
			if at == "rewrite" {
				return unix.ENOSPC
			}
			return nil
		}
		if err := p.Recover(); err == nil || p.content(t) != "old" || len(noted) > 0 {
			t.Errorf("where it could not come anew: %v, content %s", err, p.content(t))
		}
		s := open(t, p.Receiver)
		if len(noted) != 1 || noted[0].Complete || p.content(t) != "none" {
			t.Errorf("noted %v, content %s", noted, p.content(t))
		}
		p.nothingLeft(t)
		if _, err := s.Look([]string{"f"}, false); err != nil {
			t.Error("the session does not go on: ", err)
		}
	})
}

// What would stop a change in place is noticed before it begins.
func TestFileThatCannotBeChangedInPlace(t *testing.T) {
	p := newPlace(t)
	program, err := os.Executable()
	must(t, err)
	must(t, exec.Command("cp", program, p.path+"2").Run())
	must(t, os.Rename(p.path+"2", p.path))
	root, err := tree.Open(p.Path)
	must(t, err)
	defer root.Close()
	p.step.Old, err = root.Lstat("f")
	must(t, err)
	running := exec.Command(p.path, "-test.run=^TestSleeps$")
	running.Env = append(os.Environ(), "HAFS_TEST_SLEEPS=1")
	must(t, running.Start())
	defer func() { _ = running.Process.Kill(); _ = running.Wait() }()
	result, err := p.change(open(t, p.Receiver))
	must(t, err)
	if len(result.Problems) != 1 || !errors.Is(result.Problems[0], unix.ETXTBSY) {
		t.Errorf("%+v", result)
	}
	p.nothingLeft(t)
}

// TestSleeps is a program that runs.
func TestSleeps(t *testing.T) {
	if os.Getenv("HAFS_TEST_SLEEPS") != "" {
		time.Sleep(time.Minute)
	}
}

// What somebody else made is not gone on with, and what nobody will go on with is removed.
func TestPartialFileOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	r := newReceiver(t)
	planted := filepath.Join(r.Path, tree.PartialName("f"))
	must(t, os.WriteFile(planted, make([]byte, BlockBytes), 0o644))
	must(t, os.Chown(planted, 1000, 1000))
	s := open(t, r)
	b, err := s.Begin()
	must(t, err)
	if blocks, err := b.Blocks("f"); err != nil || len(blocks) > 0 {
		t.Errorf("%d blocks, %v", len(blocks), err)
	}
	step := file(strings.Repeat("x", KeepBytes))
	step.Path, step.Data = "f", nil
	_, err = b.Step(OpWriteLarge, step)
	must(t, errors.Join(err, b.Data(0, make([]byte, BlockBytes)), s.flush(), s.Close()))
	must(t, r.End(t.Context()))
	if _, err := os.Lstat(planted); err == nil {
		t.Error("what arrived in part is still there")
	}
}

// A large file goes on where its session broke off, if that was not too long ago.
func TestPartialFileIsKept(t *testing.T) {
	r := newReceiver(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), KeepBytes/16)
	step := file(string(content))
	step.Path, step.Data = "f", nil
	s := open(t, r)
	b, err := s.Begin()
	must(t, err)
	_, err = b.Step(OpWriteLarge, step)
	must(t, errors.Join(err, b.Data(0, content[:BlockBytes]), b.Data(BlockBytes, content[BlockBytes:2*BlockBytes]), s.flush()))
	must(t, s.Close())

	s = open(t, r)
	if listed, err := listAll(s); err != nil || len(listed) != 1 {
		t.Errorf("listed %v, %v", listed, err)
	}
	b, err = s.Begin()
	must(t, err)
	blocks, err := b.Blocks("f")
	must(t, err)
	if len(blocks) != 2 || blocks[1] != BlockOf(content[BlockBytes:2*BlockBytes]) {
		t.Fatalf("%d blocks have arrived", len(blocks))
	}
	step.Blocks = true
	_, err = b.Step(OpWriteLarge, step)
	must(t, err)
	for at := 2 * BlockBytes; at < len(content); at += BlockBytes {
		must(t, b.Data(int64(at), content[at:at+BlockBytes]))
	}
	must(t, b.Done(step.Entry))
	result, err := b.End(nil)
	must(t, err)
	if got, err := os.ReadFile(filepath.Join(r.Path, "f")); result.Count > 0 || err != nil || !bytes.Equal(got, content) {
		t.Errorf("%+v, %d bytes, %v", result, len(got), err)
	}

	old := filepath.Join(r.Path, tree.PartialName("g"))
	must(t, os.WriteFile(old, nil, 0o600))
	must(t, os.Chtimes(old, longAgo, longAgo))
	if listed, err := listAll(s); err != nil || len(listed) != 3 {
		t.Errorf("listed %v, %v", listed, err)
	}
}

var longAgo = time.Now().Add(-2 * keepFor)

func listAll(s *Session) (paths []string, err error) {
	for f, err := range s.List(Listing{Directory: "."}, nil) {
		if err != nil {
			return nil, err
		}
		paths = append(paths, f.Path)
	}
	return paths, nil
}
