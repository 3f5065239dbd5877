package guests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rs/zerolog"
)

// Programs outside this project read guests.json: testdata/guests.json is the form they rely on.
func TestTableHasTheAgreedForm(t *testing.T) {
	want, err := os.ReadFile("testdata/guests.json")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "guests.json")
	if err := writeJSON(path, TableOf("hafs", "/lab/ssh_key", map[string]int{"L1": 101, "W3": 309})); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var read Table
	if err := json.Unmarshal(got, &read); err != nil {
		t.Fatal(err)
	}
	if again := TableOf("hafs", "/lab/ssh_key", map[string]int{"L1": 101, "W3": 309}); !reflect.DeepEqual(read, again) {
		t.Errorf("read back: %+v", read)
	}
}

func TestOpenRefusesWhatMountsAndLinksCannotTake(t *testing.T) {
	for _, c := range []struct{ dir, netns string }{
		{"/tmp/a:b", "hafs"}, {"/tmp/a,b", "hafs"}, {"/tmp/a b", "hafs"},
		{t.TempDir(), "a-name-too-long-for-a-bridge"}, {t.TempDir(), "../x"},
	} {
		if _, err := Open(c.dir, c.netns, zerolog.Nop()); err == nil {
			t.Errorf("Open(%q, %q) took it", c.dir, c.netns)
		}
	}
}

func TestOpenKeepsTheNamespaceOfALabThatWasUp(t *testing.T) {
	dir := t.TempDir()
	if err := writeJSON(filepath.Join(dir, "guests.json"), TableOf("first", "", nil)); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir, "second", zerolog.Nop())
	if err != nil || l.Netns != "first" {
		t.Errorf("%+v, %v", l, err)
	}
}
