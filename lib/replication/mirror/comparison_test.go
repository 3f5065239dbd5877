package mirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// compare makes a comparison of everything, and returns it and how many parts it had.
func compare(t *testing.T, s *Stream, sums bool) (*Comparison, int) {
	t.Helper()
	c := NewComparison(sums)
	for parts := 1; ; parts++ {
		must(t, s.Part(t.Context(), c))
		if c.Done {
			return c, parts
		}
	}
}

// However it is cut into parts, a comparison makes the replica identical (I4).
func TestComparisonInParts(t *testing.T) {
	for _, limits := range []Parts{{Entries: 1, Writes: 1, Bytes: 1}, {Entries: 2, Writes: 9, Bytes: 1 << 20}, {Entries: 7, Writes: 2, Bytes: 50}, defaultParts} {
		t.Run(fmt.Sprint(limits), func(t *testing.T) {
			w := newWorld(t, "stream")
			w.parts = limits
			s := w.transport().(*Stream)
			defer s.Close()
			w.sh(stateBefore)
			compare(t, s, false)
			w.same()
			w.sh(stateAfter + "; mkdir -p deep/er; ln moved-2/* deep/er || true; rm -rf gone; for i in $(seq 20); do echo $i > deep/$i; done")
			w.behind("mkdir -p extra/deep; touch extra/deep/file extra-file; rm -rf deep; touch deep")
			c, parts := compare(t, s, false)
			w.same()
			if limits.Entries < 100 && parts < 3 || c.Entries < 20 {
				t.Errorf("%d parts, %d entries", parts, c.Entries)
			}
			if c, _ = compare(t, s, true); len(c.Differed) > 0 || c.Sent > 0 {
				t.Errorf("%v differed, %d bytes sent", c.Differed, c.Sent)
			}
		})
	}
}

// What comes to a large directory whose names were read before is not taken for something that the share does not have.
func TestWhatComesWhileALargeDirectoryIsCompared(t *testing.T) {
	w := newWorld(t, "stream")
	w.parts = Parts{Entries: 1200, Writes: 500, Bytes: 32 << 20}
	s := w.transport().(*Stream)
	defer s.Close()
	w.sh("mkdir -p big other; touch big/{1000..2999} other/x")
	for _, state := range []string{"is filled", "is whole"} {
		c := NewComparison(false)
		must(t, s.Part(t.Context(), c))
		if !change.Within(c.after, "big") {
			t.Fatalf("the replica %s: the first part came to %q: this test proves nothing", state, c.after)
		}
		w.sh("mkdir big/zdir; echo x | tee big/zdir/file > big/zzz")
		came := []change.Change{{Kind: change.Look, Path: "big/zzz"}, {Kind: change.Rescan, Path: "big/zdir"}}
		must(t, s.Apply(t.Context(), append(came, change.Change{Kind: change.Rescan, Path: "other"}))) // the receiver reads names anew for that
		w.sameContent("big/zzz")
		for !c.Done {
			must(t, s.Part(t.Context(), c))
		}
		w.same()
		w.sh("rm -r big/zzz big/zdir")
		must(t, s.Apply(t.Context(), came))
	}
}

// Many directories in one batch are not gathered at once. What moved between them is on the replica all the time, and the position is told in the end.
func TestManyDirectoriesInOneBatch(t *testing.T) {
	w := newWorld(t, "stream")
	w.parts = Parts{Entries: 12, Writes: 1000, Bytes: 32 << 20}
	var noted []change.Position
	gone := false
	s := w.stream(&stream.Receiver{
		Path: w.replica, Cluster: "test", Log: w.log(),
		Note: func(p change.Position) error { noted = append(noted, p); return nil },
		Before: func(string) error {
			_, here := os.Lstat(filepath.Join(w.replica, "d0/moves"))
			_, there := os.Lstat(filepath.Join(w.replica, "d4/moves"))
			gone = gone || here != nil && there != nil
			return nil
		},
	})
	defer s.Close()
	w.sh("mkdir d{0..4}; touch d{0..4}/{0..7} d0/moves d0/goes d4/goes")
	must(t, s.Apply(t.Context(), everything))
	w.same()
	gone, noted = false, nil
	w.sh("mv d0/moves d4/moves; rm d0/goes d4/goes; for d in d?; do echo new > $d/new; done")
	var changes []change.Change
	for i := range 5 {
		changes = append(changes, change.Change{Kind: change.Rescan, Path: fmt.Sprintf("d%d", i)})
	}
	s.LeadsTo(change.Position{Generation: 1, Number: 7, Complete: true})
	must(t, s.Apply(t.Context(), changes))
	w.same()
	if len(noted) != 1 || noted[0].Number != 7 {
		t.Errorf("noted %v", noted)
	}
	if gone {
		t.Error("what moved was not on the replica for a while")
	}
}

// While a replica is filled slowly, what changes is there soon.
func TestChangesDoNotWaitForAFilling(t *testing.T) {
	w := newWorld(t, "stream")
	w.parts, w.pace.FillBandwidth = Parts{Entries: 2, Writes: 1, Bytes: 1}, 1
	w.sh("for i in $(seq 50); do head -c 20000 /dev/urandom > f$i; done")
	ctx := t.Context()
	w.startMirror(ctx)
	eventually(t, func() error {
		if s := w.status("r"); s.Comparison == nil || s.Comparison.Sent == 0 {
			return fmt.Errorf("no progress is shown: %+v", s)
		}
		return nil
	})
	w.sh("echo now > zz")
	w.mirror.Report(change.Change{Kind: change.Look, Path: "zz"})
	eventually(t, func() error { _, err := os.Stat(filepath.Join(w.replica, "zz")); return err })
	if s := w.status("r"); s.State != Filling {
		t.Errorf("it is %s", s.State)
	}
}

// A directory that is too large for a batch is compared in parts: what else changes is there meanwhile, and counts when the directory is there too.
func TestALargeDirectoryIsComparedInParts(t *testing.T) {
	w := newWorld(t, "stream")
	w.parts = Parts{Entries: 20, Writes: 5, Bytes: 1 << 20}
	begun, goOn := make(chan struct{}), make(chan struct{})
	var files atomic.Int64
	w.before = func(step string) error {
		if step != "make temporary" {
			return nil
		}
		switch files.Add(1) {
		case 20:
			close(begun)
			<-goOn
		case 290:
			if _, err := os.Stat(filepath.Join(w.replica, "other")); err != nil {
				t.Error("nothing came in between: ", err)
			}
		}
		return nil
	}
	w.run()
	w.sh("mkdir ../large; for i in $(seq 300); do echo $i > ../large/$i; done; mv ../large .")
	<-begun
	w.sh("echo now > other")
	w.mirror.Report(change.Change{Kind: change.Look, Path: "other"})
	close(goOn)
	must(t, w.mirror.Settle(t.Context(), []string{"other"}, 1))
	w.same()
	if s := w.status("r"); s.State != Complete || s.Pending > 0 || s.Comparison != nil {
		t.Errorf("%+v", s)
	}
	w.sh("rm -r large; mkdir large; echo x > large/x")
	w.settle()
}

// A large directory is compared unless a comparison that is waited for comes past all of it anyway.
func TestWhichLargeDirectoriesAreCompared(t *testing.T) {
	for _, c := range []struct {
		under []Comparison // everything, if that is compared, and large directories
		dir   string
		want  string
	}{
		{nil, "a/b", "a/b"},
		{[]Comparison{{Directory: ".", Waited: true}}, "a/b", ""},
		{[]Comparison{{Directory: ".", Waited: true, after: "a"}}, "a/b", ""},
		{[]Comparison{{Directory: ".", Waited: true, after: "a/b/c"}}, "a/b", "a/b"},
		{[]Comparison{{Directory: ".", Waited: true, after: "c"}}, "a/b", "a/b"},
		{[]Comparison{{Directory: "."}}, "a/b", "a/b"}, // in the background
		{[]Comparison{{Directory: "a", Waited: true, after: "a/a"}, {Directory: "c", Waited: true}}, "a/b", "a c"},
		{[]Comparison{{Directory: "a", Waited: true, after: "a/b/c"}, {Directory: "c", Waited: true}}, "a/b", "a c a/b"},
		{[]Comparison{{Directory: "a/b", Waited: true, after: "a/b/c"}, {Directory: "c", Waited: true}}, "a", "c a"},
	} {
		r := newReplica(Wanted{}, nil, zerolog.Nop(), time.Now())
		for _, under := range c.under {
			if under := (&comparison{Comparison: &under}); under.whole() {
				r.comparison = under
			} else {
				r.large = append(r.large, under)
			}
		}
		r.finish([]string{c.dir}, time.Now())
		var got []string
		for _, l := range r.large {
			got = append(got, l.Directory)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s after %+v: %v", c.dir, c.under, got)
		}
	}
}

// More changes than a queue holds become one directory that is compared in parts.
func TestAnOverflownQueueIsComparedInParts(t *testing.T) {
	w := newWorld(t, "stream")
	w.parts = Parts{Entries: 50, Writes: 20, Bytes: 1 << 20}
	w.run()
	w.mirror.replicas[0].queue.Limit = 30
	for n := range 5 {
		w.sh(fmt.Sprintf("mkdir -p a/b/c%d; for i in $(seq 100); do echo $i > a/b/c%d/$i; done; rm -f a/b/c*/%d", n, n, n))
	}
	w.sh("mv a/b d; rm -r d/c1; ln d/c2/10 d/c0/linked")
	w.settle()
}

// A directory that goes while it is compared goes on the replica too, and one that becomes something else.
func TestALargeDirectoryThatChangesMeanwhile(t *testing.T) {
	for what, then := range map[string]string{"it goes": "rm -r d", "it becomes a file": "rm -r d; echo x > d", "it moves": "mv d e", "it becomes a link": "mv d e; ln -s e d"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, "stream")
			w.parts = Parts{Entries: 5, Writes: 3, Bytes: 1 << 20}
			s := w.transport().(*Stream)
			defer s.Close()
			must(t, s.Apply(t.Context(), everything))
			w.sh("mkdir d; for i in $(seq 30); do echo $i > d/$i; done")
			err := s.Apply(t.Context(), []change.Change{{Kind: change.Rescan, Path: "d"}})
			if rest := (Unfinished{}); !errors.As(err, &rest) || !slices.Equal(rest.Directories, []string{"d"}) {
				t.Fatal(err)
			}
			c := NewComparison(false)
			c.Directory = "d"
			must(t, s.Part(t.Context(), c))
			w.sh(then)
			for !c.Done {
				must(t, s.Part(t.Context(), c))
			}
			must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "d"}, {Kind: change.Look, Path: "e"}}))
			must(t, s.Apply(t.Context(), everything))
			w.same()
		})
	}
}

// What a disk made of a file behind everybody's back is found by its sum.
func TestContentsAreCompared(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	w.sh("mkdir d; echo right > d/a; echo right > b; head -c 3000000 /dev/urandom > large")
	compare(t, s, false)
	w.behind("for f in d/a large; do touch -r $f ../time; printf W | dd of=$f conv=notrunc status=none; touch -r ../time $f; done")
	if compare(t, s, false); w.contents(w.replica)["/d/a"] == w.contents(w.share)["/d/a"] {
		t.Fatal("found without reading")
	}
	c, _ := compare(t, s, true)
	if !slices.Equal(c.Differed, []string{"d/a", "large"}) || c.Read < 3000000 {
		t.Errorf("%v, %d bytes read", c.Differed, c.Read)
	}
	w.same()
}

// A share that is wiped does not take its replicas with it until somebody says so (I5).
func TestManyDeletesAreHeldBack(t *testing.T) {
	for name, wiped := range map[string][]change.Change{
		"seen by the watch":   {{Kind: change.Look, Path: "d"}},
		"found by comparison": everything,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "stream")
			w.parts = Parts{Entries: 500, Writes: 100, Bytes: 1 << 20}
			s := w.transport().(*Stream)
			defer s.Close()
			s.Deletes = &DeleteBudget{Percent: 50}
			w.sh(fmt.Sprintf("mkdir d few; touch d/{1..%d} few/{1..100}", 2*freeDeletes))
			must(t, s.Apply(t.Context(), everything))
			w.sh("rm -r few")
			must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "few"}}))
			w.same()
			w.sh("rm -r d; echo x > new")
			must(t, s.Apply(t.Context(), append(wiped, change.Change{Kind: change.Look, Path: "new"})))
			if files := w.contents(w.replica); len(files) < freeDeletes || files["/new"] == "" {
				t.Errorf("%d files are left", len(files))
			}
			if held := s.Deletes.Held(); held < freeDeletes {
				t.Errorf("%d deletes are held back", held)
			}
			s.Deletes.Release()
			must(t, s.Apply(t.Context(), everything))
			w.same()
			if held := s.Deletes.Held(); held > 0 {
				t.Errorf("%d deletes are still held back", held)
			}
		})
	}
}

// Files that are back in the share are not held back any more.
func TestHeldBackAndRestored(t *testing.T) {
	w := newWorld(t, "stream")
	s := w.transport().(*Stream)
	defer s.Close()
	s.Deletes = &DeleteBudget{Percent: 50}
	w.sh(fmt.Sprintf("mkdir d; touch d/{1..%d}; mv d ../saved; cp -a ../saved d", 2*freeDeletes))
	must(t, s.Apply(t.Context(), everything))
	w.sh("rm -r d")
	must(t, s.Apply(t.Context(), everything))
	w.sh("cp -a ../saved d")
	must(t, s.Apply(t.Context(), everything))
	w.sh("rm d/1")
	must(t, s.Apply(t.Context(), []change.Change{{Kind: change.Look, Path: "d/1"}}))
	w.same()
}

// What is deleted is in the trash for a while, wherever that is, and is no part of the replica.
func TestTrash(t *testing.T) {
	for _, inside := range []bool{false, true} {
		t.Run(fmt.Sprint("inside ", inside), func(t *testing.T) {
			w := newWorld(t, "stream")
			receiver := &stream.Receiver{Path: w.replica, Cluster: "test", KeepDeleted: time.Hour, Log: w.log()}
			trash := filepath.Join(w.replica, change.Trash)
			if !inside {
				trash = t.TempDir()
				receiver.TrashDirectory = trash
			}
			s := w.stream(receiver)
			defer s.Close()
			w.sh("mkdir -p d/e; echo one > d/e/f; echo two > g")
			must(t, s.Apply(t.Context(), everything))
			w.sh("rm -r d g")
			must(t, s.Apply(t.Context(), everything))
			w.sh("mkdir -p d/e; echo three > d/e/f")
			must(t, s.Apply(t.Context(), everything))
			w.sh("rm d/e/f")
			must(t, s.Apply(t.Context(), everything))
			found := w.contents(trash)
			var names []string
			for path := range found {
				_, below, _ := strings.Cut(path[1:], "/")
				names = append(names, below+"="+strings.TrimSpace(found[path]))
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != "d/e/f=one d/e/f=three g=two" {
				t.Errorf("in the trash: %s", got)
			}
			if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
				t.Errorf("the replica differs: %v, %v", found, err)
			}
			root, err := tree.Open(w.replica)
			must(t, err)
			defer root.Close()
			can := tree.NewTrash(root, receiver.TrashDirectory)
			defer can.Close()
			must(t, can.Empty(time.Now()))
			if len(w.contents(trash)) != 3 {
				t.Error("emptied within its hour")
			}
			must(t, can.Empty(time.Now().Add(2*time.Hour)))
			if left := w.contents(trash); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// What is waited for is on the disk also when it comes with a comparison that is not the first of its session.
func TestWhatIsWaitedForIsSyncedByALaterComparison(t *testing.T) {
	w := newWorld(t, "stream")
	synced := false
	w.before = func(step string) error {
		synced = synced || strings.HasPrefix(step, "sync")
		return nil
	}
	s := w.transport()
	defer s.Close()
	must(t, s.Apply(t.Context(), everything))
	w.sh("echo x > new")
	synced = false
	must(t, s.Apply(t.Context(), append(everything, change.Change{Kind: change.Barrier, Path: "id"})))
	if !synced {
		t.Error("nothing was synced")
	}
}

// A large directory that a replica cannot make costs that directory: other changes are answered while it is tried again.
func TestALargeDirectoryThatCannotBeMadeCostsItself(t *testing.T) {
	w := newWorld(t, "stream")
	w.parts = Parts{Entries: 40, Writes: 20, Bytes: 1 << 20}
	w.run()
	must(t, os.WriteFile(w.path("d"), nil, 0o644))
	w.settle()
	covered(t, filepath.Join(w.replica, "d"))
	w.sh("rm d; mkdir ../d; for i in $(seq 1500); do echo $i > ../d/$i; done; mv ../d .")
	w.lacked("r", "d", OfReplica)
	for i := range 6 {
		must(t, w.settles(fmt.Sprint("other", i), "x"))
		time.Sleep(500 * time.Millisecond)
	}
	if s := w.status("r"); len(s.Lacks) != 1 || !s.Lacks[0].Below || s.Lacks[0].Errno != unix.EBUSY {
		t.Errorf("%+v", s.Lacks)
	}
}
