package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Ino
}

// A file that is changed where it is stays the same file on the replica; one that is replaced does not.
func TestLargeFileIsChangedWhereItIs(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport()
	defer s.Close()
	w.sh("head -c 5000000 /dev/urandom > f")
	must(t, s.Apply(t.Context(), everything))
	replica := filepath.Join(w.replica, "f")
	for _, c := range []struct {
		edit string
		same bool
	}{
		{"printf x | dd of=f bs=1 seek=3000000 conv=notrunc status=none", true},
		{"head -c 1000000 /dev/urandom >> f", true},
		{"truncate -s 4000001 f; chmod 4711 f", true},
		{"fallocate -p -o 1000000 -l 2000000 f", true},
		{"cp f g; printf y >> g; mv g f", false},
		{"ln f g; printf z >> f", false},
	} {
		before := inode(t, replica)
		w.sh(c.edit)
		must(t, s.Apply(t.Context(), everything))
		w.same()
		if same := before == inode(t, replica); same != c.same {
			t.Errorf("%s: the same file: %v", c.edit, same)
		}
	}
}

// What has arrived of a large file before the session broke off is not sent again.
func TestLargeFileGoesOnAfterACut(t *testing.T) {
	const size, cut = 20 << 20, 15 << 20
	w := newWorld(t, "stream")
	var sent atomic.Int64
	var cuts []int
	s := w.transport().(*Stream)
	dial := s.Open
	s.Open = func(ctx context.Context) (io.ReadWriteCloser, error) {
		conn, err := dial(ctx)
		left := 1 << 40
		if len(cuts) > 0 {
			left, cuts = cuts[0], cuts[1:]
		}
		return &cutting{conn, left, &sent}, err
	}
	defer s.Close()
	for _, edit := range []string{
		fmt.Sprintf("head -c %d /dev/urandom > f", size),
		fmt.Sprintf("head -c %d /dev/urandom > g; mv g f", size),
	} {
		w.sh(edit)
		s.Close()
		sent.Store(0)
		cuts = []int{cut}
		if err := s.Apply(t.Context(), everything); err == nil {
			t.Fatal("it was not cut")
		}
		must(t, s.Apply(t.Context(), everything))
		w.same()
		if again := sent.Load() - size; again > 2<<20 {
			t.Errorf("%d bytes were sent again", again)
		}
	}
}

// A large file is what it is in the share in the end, whatever is done to it at whatever moment of its sending.
func TestLargeFileIsChangedWhileItIsSent(t *testing.T) {
	const later = 50 * time.Millisecond // than anything the clock of the kernel might not tell apart
	content := make([]byte, 6<<20)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	write := func(f *os.File, at int64, b []byte) {
		if _, err := f.WriteAt(b, at); err != nil {
			panic(err)
		}
	}
	for name, c := range map[string]struct {
		size  int64 // of random bytes, or with a minus of a hole
		block func(n int, f *os.File)
		lap   func(n int, f *os.File)
		then  func(f *os.File)
	}{
		"a hole ahead is filled": {size: -20 << 20, block: func(n int, f *os.File) {
			switch n {
			case 20:
				write(f, 12<<20, []byte("data"))
			case 21:
				time.Sleep(later)
			}
		}},
		"it is cut, and grows behind the place": {size: 20 << 20, block: func(n int, f *os.File) {
			switch {
			case n == 100:
				must(t, f.Truncate(9<<20))
			case n > 100 && n < 120:
				write(f, 9<<20+int64(n)*1000, []byte("more"))
			}
		}},
		"it is cut, and later as before and longer": {size: 6 << 20, block: func(n int, f *os.File) {
			if n == 40 {
				must(t, f.Truncate(1<<20))
			}
		}, lap: func(int, *os.File) { time.Sleep(later) }, then: func(f *os.File) { write(f, 0, content); write(f, 6<<20, []byte("more")) }},
		"it is written between two laps": {size: 3 << 20, block: func(n int, f *os.File) {
			switch n {
			case 5:
				write(f, 10, []byte("early"))
			case 6:
				time.Sleep(later)
			}
		}, lap: func(n int, f *os.File) {
			if n == 1 {
				write(f, 2_900_000, []byte("between"))
				time.Sleep(later)
			}
		}},
		"it changes without end, and grows within its last block": {size: 300_000, block: func(n int, f *os.File) {
			if n < 12 {
				write(f, 5, []byte{byte(n)})
			}
			if n == 12 {
				write(f, 300_000, content[:200_000])
				time.Sleep(followFor)
			}
		}, then: func(f *os.File) { write(f, 500_000, content[200_000:400_000]) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "stream")
			f, err := os.Create(filepath.Join(w.share, "f"))
			must(t, err)
			defer f.Close()
			if c.size < 0 {
				must(t, f.Truncate(-c.size))
			}
			for at := int64(0); at < c.size; at += int64(len(content)) {
				write(f, at, content[:min(int64(len(content)), c.size-at)])
			}
			time.Sleep(later)
			s := w.transport().(*Stream)
			defer s.Close()
			blocks, laps := 0, 0
			w.sendLarge(s, "f", func() { blocks++; c.block(blocks, f) }, func() {
				if laps++; c.lap != nil {
					c.lap(laps, f)
				}
			})
			if c.then != nil {
				c.then(f)
			}
			for range 2 {
				must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "f"}}))
			}
			w.sameContent("f")
		})
	}
}

func (w *world) sameContent(path string) {
	w.t.Helper()
	share, err := os.ReadFile(filepath.Join(w.share, path))
	must(w.t, err)
	replica, err := os.ReadFile(filepath.Join(w.replica, path))
	must(w.t, err)
	if !bytes.Equal(share, replica) {
		w.t.Fatalf("%s differs, of %d and %d bytes", path, len(share), len(replica))
	}
}

// sendLarge sends one file; block is called before each block that is read, lap after each lap.
func (w *world) sendLarge(s *Stream, path string, block, lap func()) {
	w.t.Helper()
	must(w.t, s.Apply(w.t.Context(), nil))
	source, err := w.root.Lstat(path)
	must(w.t, err)
	found, err := s.session.Look([]string{path}, false)
	must(w.t, err)
	batch, err := s.session.Begin()
	must(w.t, err)
	sent := sending{
		share: w.root, journal: s.journal, batch: batch, progress: block, torn: func() bool { lap(); return false }, unsent: map[string]bool{},
	}
	must(w.t, sent.all([]Step{{Op: Write, Path: path, Source: source, Replica: found[0].Entry}}))
	result, err := batch.End(nil)
	must(w.t, err)
	sent.noted(result)
}

// The same with anything at any moment. A replica without room takes it the next time.
func TestAnyHistoryOfALargeFile(t *testing.T) {
	w := newWorld(t, "stream")
	w.quiet = true
	full := false
	w.before = func(step string) error {
		if full && step == "write" {
			return unix.ENOSPC
		}
		return nil
	}
	s := w.transport().(*Stream)
	defer s.Close()
	f, err := os.Create(filepath.Join(w.share, "f"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(2<<20))
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	content := make([]byte, 12<<20)
	for i := range content {
		content[i] = byte(rnd.Uint32())
	}
	anything := func() {
		st, err := f.Stat()
		must(t, err)
		at := rnd.Int64N(st.Size() + 1)
		n := min(rnd.Int64N(300_000), int64(len(content))-at)
		switch rnd.IntN(9) {
		case 0:
			err = f.Truncate(300_000 + rnd.Int64N(11<<20))
		case 1:
			err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, max(n, 1))
		case 2: // what was there before, perhaps
			_, err = f.WriteAt(content[at:at+n], at)
		case 3, 4:
			_, err = f.WriteAt([]byte{byte(rnd.Uint32())}, at)
		case 5:
			_, err = f.WriteAt(content[:min(300_000, 11<<20-min(st.Size(), 11<<20))], st.Size())
		case 6:
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
		case 7:
			time.Sleep(quietFor)
		case 8:
			if rnd.IntN(30) == 0 {
				time.Sleep(followFor)
			}
		}
		must(t, err)
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		left := rnd.IntN(12)
		perhaps := func(odds int) {
			if left > 0 && rnd.IntN(odds) == 0 {
				left--
				anything()
			}
		}
		for range rnd.IntN(3) + 1 {
			anything()
		}
		full = rnd.IntN(6) == 0
		w.sendLarge(s, "f", func() { perhaps(15) }, func() { perhaps(2) })
		full = false
		must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "f"}}))
		w.sameContent("f")
	}
}

// While this server's own copy of some file is neither old nor new nothing large goes on to others.
func TestNothingLargeIsSentWhileOneIsHalfChanged(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	var torn atomic.Bool
	s.Torn = torn.Load
	w.sh("head -c 5000000 /dev/urandom > f")
	torn.Store(true)
	began := time.Now()
	time.AfterFunc(200*time.Millisecond, func() { torn.Store(false) })
	must(t, s.Apply(t.Context(), everything))
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("sent after %s", took)
	}
	w.same()
	w.sh("printf x >> f")
	torn.Store(true)
	if err := s.Apply(t.Context(), everything); !errors.Is(err, errInPlace) {
		t.Errorf("sent all the same: %v", err)
	}
	torn.Store(false)
	must(t, s.Apply(t.Context(), everything))
	w.sameContent("f")
}
