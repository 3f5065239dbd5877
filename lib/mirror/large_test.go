package mirror

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/change"
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

// A file that is written, also at its front, while it is sent is in the end what it is in the share.
func TestLargeFileThatIsWrittenMeanwhile(t *testing.T) {
	w := newWorld(t, "stream")
	w.run()
	f, err := os.Create(filepath.Join(w.share, "f"))
	must(t, err)
	defer f.Close()
	block := make([]byte, 1<<20)
	for n := range 40 {
		for i := range block {
			block[i] = byte(i * (n + 1) / 7)
		}
		_, err := f.WriteAt(block, int64(n)<<20)
		must(t, err)
		_, err = f.WriteAt(block[:10], int64(n*7919%(n+1))<<19)
		must(t, err)
		time.Sleep(time.Millisecond)
	}
	w.settle()
}

// While this server's own copy of some file is neither old nor new nothing large goes on to others.
func TestNothingLargeIsSentWhileOneIsHalfChanged(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport()
	defer s.Close()
	w.sh("head -c 5000000 /dev/urandom > f")
	redo := filepath.Join(w.share, change.Redo)
	must(t, os.WriteFile(redo, nil, 0o600))
	time.AfterFunc(200*time.Millisecond, func() { os.Remove(redo) })
	began := time.Now()
	must(t, s.Apply(t.Context(), everything))
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("sent after %s", took)
	}
	w.same()
	w.sh("printf x >> f")
	must(t, os.WriteFile(redo, nil, 0o600))
	if err := s.Apply(t.Context(), everything); err == nil {
		t.Error("sent all the same")
	}
}
