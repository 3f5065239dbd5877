package mirror

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"hafs/lib/replication/change"
)

// What a file sharing server remembers of the files of its share, for three replicas, is bounded: not all of it is proportional to how many there are.
func TestWhatIsRememberedOfAFile(t *testing.T) {
	const files, limit = 200_000, 300 // bytes
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	all := newNames()
	var journals []*journal
	for range 3 {
		journals = append(journals, newRecentJournal(all))
	}
	for i := range files {
		path := fmt.Sprintf("directory%03d/file%06d", i/1000, i)
		e := &change.Entry{Kind: change.File, Size: 200, Mtime: int64(i), Ctime: int64(i), Seen: int64(i) + int64(time.Minute), Dev: 1, Ino: uint64(i), Nlink: 1}
		for _, j := range journals {
			all.seen(path, e)
			j.written(path, e, 1, nil)
		}
	}
	grown := heap() - before
	if each := grown / files; each > limit {
		t.Errorf("%d bytes a file", each)
	} else {
		t.Logf("%d bytes a file", each)
	}
	for _, j := range journals {
		if j.count > recentJournal || j.count < recentJournal/2-1 {
			t.Errorf("%d files are remembered", j.count)
		}
	}
	runtime.KeepAlive(journals)
}

// Large files are not forgotten for small ones: to know their blocks saves reading all of them.
func TestLargeFilesAreRemembered(t *testing.T) {
	j := newRecentJournal(newNames())
	large := &change.Entry{Kind: change.File, Size: 1 << 30, Nlink: 1, Ino: 1}
	j.written("large", large, 1, []uint64{1, 2, 3})
	for i := range recentJournal + 100 {
		j.written(fmt.Sprint(i), &change.Entry{Kind: change.File, Nlink: 1, Ino: uint64(i) + 2, Ctime: 1, Seen: int64(i%2) * int64(time.Minute)}, 1, nil)
	}
	for ino, doubt := range map[uint64]bool{2: true, 3: false, 1 << 40: false} { // the first may have changed again at once
		if got := j.doubtful(&change.Entry{Ino: ino, Ctime: 1}); got != doubt {
			t.Errorf("%d: doubtful: %t", ino, got)
		}
	}
	if k, found, _ := j.get("large", large); !found || len(k.blocks) != 3 {
		t.Error(k, found)
	}
	if _, found, _ := j.get("0", large); found {
		t.Error("the first small one is remembered")
	}
}

func TestNamesOfAFile(t *testing.T) {
	n := newNames()
	one := &change.Entry{Ino: 1, Nlink: 1}
	two := &change.Entry{Ino: 2, Nlink: 2}
	n.seen("a", one)
	n.seen("b", two)
	n.seen("c", two)
	n.seen("moved", one)
	for path, want := range map[string][]string{"moved": {"a"}, "a": {"moved"}, "elsewhere": {"a", "moved"}} {
		if got := n.others(path, one); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("besides %s: %v, not %v", path, got, want)
		}
	}
	round := n.begin()
	n.seen("moved", one)
	n.seen("c", two)
	n.retain(round)
	if got := append(n.others("", one), n.others("", two)...); fmt.Sprint(got) != "[moved c]" {
		t.Errorf("left are %v", got)
	}
	n.drop("c", identity(two))
	if n.files() != 1 || len(n.more) != 0 {
		t.Errorf("%+v", n)
	}
	for i := range 2 * maxStaleNames {
		n.seen(fmt.Sprint(i), one)
	}
	if got := n.others("", one); len(got) > maxStaleNames+1 {
		t.Errorf("%d names", len(got))
	}
}
