package mirror

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever is done to a share, in whatever order and speed: the replica ends up identical, and the moves, links and replacements that are
// recognised never make it anything else (I4). A failing seed is printed and can be run alone by its name.
func TestAnyHistoryOfAShare(t *testing.T) {
	rounds := map[string]int{"directory": 12, "sshfs": 4, "rsync": 3, "stream": 12}
	if testing.Short() {
		rounds = map[string]int{"directory": 2, "sshfs": 1, "rsync": 1, "stream": 2}
	}
	for kind, n := range rounds {
		for seed := range n {
			t.Run(fmt.Sprintf("%s_%d", kind, seed), func(t *testing.T) {
				w := newWorld(t, kind)
				if seed%2 == 1 { // comparisons in small parts, all the time
					w.parts, w.pace.Every, w.pace.ScrubEvery = Parts{Entries: 3, Writes: 2, Bytes: 100}, time.Millisecond, 50*time.Millisecond
				}
				if kind == "sshfs" || kind == "rsync" {
					w.pace = Pace{}
				}
				w.run()
				rnd := rand.New(rand.NewPCG(uint64(seed), 3))
				for range 8 {
					for range 1 + rnd.IntN(60) {
						w.anything(rnd)
					}
					w.settle()
				}
			})
		}
	}
}

// acl is an ACL of POSIX, as its attribute has it: one more user may do something.
func acl(user uint32, may uint16) []byte {
	const undefined = 0xffffffff
	b := binary.LittleEndian.AppendUint32(nil, 2) // version
	for _, entry := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, undefined}, {0x02, may, user}, {0x04, 5, undefined}, {0x10, 7, undefined}, {0x20, 4, undefined}} {
		b = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, entry.tag), entry.perm)
		b = binary.LittleEndian.AppendUint32(b, entry.id)
	}
	return b
}

// anything does one random thing to the share. That it may fail, because the path is not what it would have to be, does not matter.
func (w *world) anything(rnd *rand.Rand) {
	names := []string{"a", "b", "c", "d"}
	path := func() string {
		p := w.share
		for range 1 + rnd.IntN(3) {
			p = filepath.Join(p, names[rnd.IntN(len(names))])
		}
		return p
	}
	p := path()
	switch rnd.IntN(18) {
	case 0, 1, 2:
		_ = os.MkdirAll(filepath.Dir(p), 0o755)
		_ = os.WriteFile(p, []byte(fmt.Sprint(rnd.IntN(100))), 0o644)
	case 3:
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			fmt.Fprint(f, rnd.IntN(10))
			f.Close()
		}
	case 4, 5:
		_ = os.MkdirAll(p, 0o755)
	case 6, 7, 8:
		_ = os.Rename(p, path())
	case 9:
		_ = os.RemoveAll(p)
	case 10:
		_ = os.Remove(p)
		_ = os.Symlink(names[rnd.IntN(len(names))], p)
	case 11:
		if st, err := os.Lstat(p); err == nil && st.Mode().IsRegular() { // of a symbolic link it would be another matter
			_ = os.Link(p, path())
		}
	case 12:
		if st, err := os.Lstat(p); err == nil && st.Mode()&os.ModeSymlink == 0 {
			_ = os.Chmod(p, os.FileMode(rnd.IntN(0o1000)))
		}
	case 13:
		_ = os.Lchown(p, rnd.IntN(3), rnd.IntN(3))
	case 14: // an edit that hides: the same size, the old time put back
		if st, err := os.Lstat(p); err == nil && st.Mode().IsRegular() && st.Size() > 0 {
			if f, err := os.OpenFile(p, os.O_WRONLY, 0); err == nil {
				fmt.Fprint(f, rnd.IntN(10))
				f.Close()
				_ = os.Chtimes(p, time.Time{}, st.ModTime())
			}
		}
	case 15: // two things change places
		_ = unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, path(), unix.RENAME_EXCHANGE)
	case 16:
		name := []string{"user.a", "trusted.b"}[rnd.IntN(2)]
		if n := rnd.IntN(4); n == 0 {
			_ = unix.Lremovexattr(p, name)
		} else {
			_ = unix.Lsetxattr(p, name, []byte(fmt.Sprint(n)), 0)
		}
	case 17: // an ACL, sometimes one that new files in a directory get
		name := []string{"system.posix_acl_access", "system.posix_acl_default"}[rnd.IntN(2)]
		if rnd.IntN(3) == 0 {
			_ = unix.Lremovexattr(p, name)
		} else {
			_ = unix.Lsetxattr(p, name, acl(uint32(1+rnd.IntN(3)), uint16(rnd.IntN(8))), 0)
		}
	}
}
