package agree

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
)

// ofNewerRelease is a record that holds a key which is not known here.
func ofNewerRelease(t *testing.T, r record.Record) *record.Record {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var newer record.Record
	if err := json.Unmarshal([]byte(strings.Replace(string(text), "{", `{"Zone":"a",`, 1)), &newer); err != nil {
		t.Fatal(err)
	}
	return &newer
}

// I2: what a voter has voted for, and is not known whole here, is not proposed again without the rest.
func TestProposerOfAnOlderReleaseGivesUp(t *testing.T) {
	current := recordtest.Parse(t, "fs=a pairs=b/c")
	next := current.Clone()
	next.Generation++
	for _, a := range []Answer{{Yes: true, Value: ofNewerRelease(t, next)}, {Chosen: ofNewerRelease(t, next)}} {
		p := NewProposal("a", current, next, func(time.Duration) time.Duration { return 0 })
		phase, b, _ := p.Question()
		p.Hear("b", phase, b, a)
		if phase, _, _ := p.Question(); phase != GaveUp {
			t.Errorf("%+v: %v", a, phase)
		}
		if _, err := p.Result(); err == nil || !strings.Contains(err.Error(), "b: generation 8 was written by a newer release") {
			t.Error(err)
		}
	}
}

// A vote of a newer release is not answered for, and not overwritten, by an older one that runs here since.
func TestVoteOfANewerRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vote.json")
	text, err := json.Marshal(Vote{Generation: 7, Promised: Ballot{1, "a"}, Value: new(recordtest.Parse(t, "fs=a pairs=b/c"))})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"value":{`, `"value":{"Zone":"a",`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var newer record.NewerRelease
	if _, err := (Store{Path: path}).Load(7); !errors.As(err, &newer) {
		t.Error(err)
	}
	if _, err := (Store{Path: path}).Load(8); err != nil {
		t.Error("decided since:", err)
	}
}
