// Package scenariotest plays the scenario files of a package, plain text in its testdata, one test each.
package scenariotest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Play calls play with each file that fits the pattern and its text; that there is none is a failure.
func Play(t *testing.T, pattern string, play func(t *testing.T, file, text string)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, file, string(text))
		})
	}
}
