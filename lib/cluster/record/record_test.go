package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hafs/lib/host/system"
	"hafs/lib/testkit/systemtest"
)

func sample(generation uint64) Record {
	return Record{
		Cluster: "test", Generation: generation, DataDirectory: "/nfs", ClientMount: "/system",
		FS: FileServer{Name: "L1", SharedArea: "/nfs", Link: "/system", MountPoints: []string{"/mp/S1"}, VirtualAddress: "192.168.1.254/24"},
		Servers: []Server{
			{Name: "L1", Address: "192.168.1.1", Status: Active},
			{Name: "W3", Address: "192.168.1.2", Status: Active},
			{Name: "M2", Address: "192.168.1.3", Status: Active},
			{Name: "M3", Address: "192.168.1.4", Status: Spare},
		},
		Pairs: []Pair{{DRS1: "W3", DRS2: "M2"}},
	}
}

// Every file of testdata/damaged is a change to one of the three files, and the words with which it must be refused:
//
//	file    server-list.yml
//	old     status: spare
//	new     status: tired
//	refused server-list.yml:15: M3: status "tired"
//
// `new` may be absent (the words are taken out) or `all` may say that the whole file is replaced by what follows it.
func TestDamagedFilesAreRefusedWithFileAndLine(t *testing.T) {
	files, err := filepath.Glob("testdata/damaged/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no damaged files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts, err := sample(1).Encode()
			if err != nil {
				t.Fatal(err)
			}
			var name, old string
			for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				verb, rest, _ := strings.Cut(line, " ")
				rest = strings.TrimSpace(rest)
				switch verb {
				case "#":
				case "file":
					name = rest
				case "old":
					old = rest
					if !strings.Contains(string(texts[name]), old) {
						t.Fatalf("%s does not contain %q:\n%s", name, old, texts[name])
					}
				case "new":
					texts[name] = []byte(strings.Replace(string(texts[name]), old, strings.ReplaceAll(rest, `\n`, "\n"), 1))
				case "all":
					texts[name] = []byte(strings.ReplaceAll(rest, `\n`, "\n"))
				case "refused":
					_, err := Decode(texts)
					if err == nil || !strings.Contains(err.Error(), rest) {
						t.Fatalf("got %v\nwant %s", err, rest)
					}
				default:
					t.Fatalf("unknown verb %q", verb)
				}
			}
		})
	}
}

func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	texts, err := sample(3).Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(texts)
	if err != nil {
		t.Fatal(err)
	}
	if r.Digest() != sample(3).Digest() {
		t.Fatal("the record changed on its way through the files")
	}
}

// I7: whatever step a save stops at, a restart finds one whole generation, and the save can be done again.
func TestSaveStoppedAnywhereLeavesOneWholeGeneration(t *testing.T) {
	script, machine := systemtest.StopAt(-1)
	if err := installBoth(t.TempDir(), machine); err != nil {
		t.Fatal(err)
	}
	for stop := range script.Steps {
		dir := t.TempDir()
		_, broken := systemtest.StopAt(stop)
		err := installBoth(dir, broken)
		if err == nil {
			t.Fatalf("step %d (%s) did not stop the save", stop, script.Steps[stop])
		}
		r, err := Store{Directory: dir}.Current()
		if err != nil && !errors.Is(err, ErrNone) {
			t.Fatalf("after a stop at %q: %v", script.Steps[stop], err)
		}
		if err == nil && r.Digest() != sample(1).Digest() && r.Digest() != sample(2).Digest() {
			t.Fatalf("after a stop at %q: a record that was never saved: %s", script.Steps[stop], r)
		}
		if err := installBoth(dir, system.Machine{}); err != nil {
			t.Fatalf("again after a stop at %q: %v", script.Steps[stop], err)
		}
		if r, err := (Store{Directory: dir}).Current(); err != nil || r.Digest() != sample(2).Digest() {
			t.Fatalf("again after a stop at %q: %v %v", script.Steps[stop], r, err)
		}
	}
}

// installBoth installs generation 1 unless a newer one is there, then 2.
func installBoth(dir string, m system.Machine) error {
	s := Store{Machine: m, Directory: dir}
	var stale NotSuccessor
	if err := s.Install(sample(1)); err != nil && !errors.As(err, &stale) {
		return err
	}
	return s.Install(sample(2))
}

// I2: generations are a chain.
func TestOnlyTheSuccessorIsInstalled(t *testing.T) {
	s := Store{Directory: t.TempDir()}
	if _, err := s.Current(); !errors.Is(err, ErrNone) {
		t.Fatal("an empty store has a record:", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(err error, reason string) {
		t.Helper()
		var n NotSuccessor
		if !errors.As(err, &n) || !strings.Contains(err.Error(), reason) {
			t.Fatalf("got %v, want a refusal: %s", err, reason)
		}
	}
	other := sample(5)
	other.Servers[3].Address = "192.168.1.9"
	stranger := sample(6)
	stranger.Cluster = "other"
	must(s.Install(sample(5)))
	must(s.Install(sample(5)))
	refused(s.Install(other), "the same generation with another content")
	refused(s.Install(sample(4)), "older")
	refused(s.Install(sample(7)), "not the next generation")
	refused(s.Install(stranger), "another cluster")
	refused(s.Learn(stranger), "another cluster")
	refused(s.Learn(sample(4)), "older")
	must(s.Install(sample(6)))
	must(s.Learn(sample(9)))
	for g := uint64(10); g < 40; g++ {
		must(s.Install(sample(g)))
	}
	numbers, err := s.Generations()
	must(err)
	if len(numbers) != keptGenerations || numbers[0] != 20 {
		t.Fatal("kept:", numbers)
	}
}

func TestEmptyMemberListHasNoMajority(t *testing.T) {
	r := sample(1)
	for i := range r.Servers {
		r.Servers[i].Status = Failed
	}
	if len(r.Members()) >= r.Majority() {
		t.Fatal("nobody is a majority of nobody")
	}
}
