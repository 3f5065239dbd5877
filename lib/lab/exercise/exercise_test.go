package exercise

import (
	"os"
	"testing"
)

// Every exercise can be done on an ordinary file system, and leaves something to compare.
func TestExercises(t *testing.T) {
	for _, e := range All() {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			if e.Name == "chown" && os.Getuid() != 0 {
				t.Skip("changing owners needs root")
			}
			dir := t.TempDir()
			if err := e.Do(dir); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) == 0 {
				t.Fatalf("left %d entries, %v", len(left), err)
			}
		})
	}
}

func TestUnknownExercise(t *testing.T) {
	if _, err := Find("juggle"); err == nil {
		t.Fatal("found")
	}
}
