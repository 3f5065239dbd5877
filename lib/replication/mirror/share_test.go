package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Situations of a share; see testdata/share. Each file is one share; rsync is the judge (I4).
func TestShare(t *testing.T) {
	files, err := filepath.Glob("testdata/share/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			must(t, err)
			worlds(t, func(t *testing.T, w *world) {
				for _, situation := range strings.Split("\n"+string(text), "\n== ")[1:] {
					name, script, _ := strings.Cut(situation, "\n")
					w.situation(name, script)
				}
			})
		})
	}
}

func (w *world) situation(name, script string) {
	ok := w.t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
		if strings.Contains(name, "[not "+w.kind+"]") {
			t.Skip("a limit of this transport, see the package's documentation")
		}
		defer func(outer *testing.T) { w.t = outer }(w.t)
		w.t = t
		for _, part := range strings.Split(script, "\n--\n") {
			for line := range strings.Lines(part) {
				if behind, is := strings.CutPrefix(line, "replica "); is {
					w.behind(behind)
				} else {
					w.sh(line)
				}
			}
			w.settle()
		}
		w.sh("find . -mindepth 1 -maxdepth 1 ! -name .hafs-share -exec rm -rf {} +")
		w.settle()
	})
	if !ok {
		w.t.FailNow()
	}
}

func TestTenThousandFilesAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, kind := range []string{"directory", "rsync", "stream"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind)
			w.run()
			must(t, os.Mkdir(w.path("burst"), 0o755))
			for i := range 10_000 {
				must(t, os.WriteFile(w.path(fmt.Sprintf("burst/%d", i)), []byte(fmt.Sprint(i)), 0o644))
			}
			w.settle()
			must(t, os.Rename(w.path("burst"), w.path("moved")))
			w.settle()
			must(t, os.RemoveAll(w.path("moved")))
			w.settle()
		})
	}
}

// Files that are written all the time end up identical, and hold up no barrier.
func TestWrittenWhileCopied(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		stop := make(chan struct{})
		var writers []chan error
		for i := range 4 {
			done := make(chan error)
			writers = append(writers, done)
			go func() {
				defer close(done)
				name := w.path(fmt.Sprintf("busy%d", i))
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
					if n%200 == 199 {
						flags |= os.O_TRUNC
					}
					f, err := os.OpenFile(name, flags, 0o644)
					if err != nil {
						done <- err
						return
					}
					fmt.Fprintf(f, "%s\n", strings.Repeat("x", n%5000))
					f.Close()
				}
			}()
		}
		deadline := time.Now().Add(500 * time.Millisecond)
		for time.Now().Before(deadline) {
			if a := w.mirror.Wait(Request{Timeout: 20 * time.Second}); !a.OK {
				t.Fatalf("barrier while files are written: %+v", a)
			}
		}
		close(stop)
		for _, done := range writers {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		w.settle()
	})
}
