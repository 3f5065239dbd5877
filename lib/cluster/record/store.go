package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"hafs/lib/host/system"
)

// keptGenerations is how many old generations stay on disk: the history an operator reads.
const keptGenerations = 20

// ErrNone means that this server has no generation yet.
var ErrNone = errors.New("no generation is installed on this server")

// NotSuccessor is the refusal of a record that does not follow from the one a server has.
type NotSuccessor struct{ Have, Offered, Reason string }

func (e NotSuccessor) Error() string {
	return fmt.Sprintf("have %s, offered %s: %s", e.Have, e.Offered, e.Reason)
}

// Store keeps the generations of one server below a state directory.
type Store struct {
	Machine   system.Machine
	Directory string // such as /var/lib/hafs
}

// Link is what leads to the newest generation; it is swapped when there is a newer one.
func (s Store) Link() string { return filepath.Join(s.Directory, "current") }

// Current is the newest generation this server has, or ErrNone.
func (s Store) Current() (Record, error) {
	r, err := Load(s.Link())
	if errors.Is(err, fs.ErrNotExist) {
		if _, linkErr := os.Readlink(s.Link()); errors.Is(linkErr, fs.ErrNotExist) {
			return Record{}, ErrNone
		}
	}
	return r, err
}

// Keep makes sure that what Current finds survives a power loss. A program that was killed between the swap of the link and its sync leaves a generation
// that can be read and may vanish; whoever starts must keep it before acting in it.
func (s Store) Keep() error {
	return s.Machine.SyncDirectory("sync current", s.Directory)
}

// Install makes r the current generation if it is exactly the successor of the one this server has, or the first one. The
// same record again is no error.
func (s Store) Install(r Record) error {
	have, err := s.Current()
	switch {
	case errors.Is(err, ErrNone):
		return s.save(r)
	case err != nil:
		return err
	}
	if err := r.Succeeds(have, have.Generation+1); err != nil || r.Generation == have.Generation {
		return err
	}
	return s.save(r)
}

// Learn makes r current on a server that was away: any newer generation of the same cluster will do. Only a generation that was
// chosen may be learnt.
func (s Store) Learn(r Record) error {
	have, err := s.Current()
	switch {
	case errors.Is(err, ErrNone):
		return s.save(r)
	case err != nil:
		return err
	}
	if err := r.Succeeds(have, r.Generation); err != nil || r.Generation == have.Generation {
		return err
	}
	return s.save(r)
}

// Succeeds says whether r may follow have as generation next; r being have itself is fine too.
func (r Record) Succeeds(have Record, next uint64) error {
	refuse := func(reason string) error {
		return NotSuccessor{Have: have.String(), Offered: r.String(), Reason: reason}
	}
	switch {
	case r.unknown != "":
		return r.Newer()
	case r.Cluster != have.Cluster:
		return refuse("another cluster")
	case r.Generation == have.Generation && r.Digest() != have.Digest():
		return refuse("the same generation with another content")
	case r.Generation == have.Generation:
		return nil
	case r.Generation < have.Generation:
		return refuse("older than what is installed")
	case r.Generation != next:
		return refuse("not the next generation")
	}
	return nil
}

// String names a record shortly: cluster, generation and the start of its digest.
func (r Record) String() string {
	return fmt.Sprintf("%s/%d/%.8s", r.Cluster, r.Generation, r.Digest())
}

// Digest is the SHA-256 over the three files, in hexadecimal.
func (r Record) Digest() string {
	texts, err := r.Encode()
	if err != nil {
		return ""
	}
	h := sha256.New()
	for _, name := range []string{ServerListFile, FileServerFile, DataRedundancyFile} {
		h.Write(texts[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// save writes the three files into a new folder, syncs them and it, and then swaps the link current. A crash before the swap leaves
// only litter, which the next save of that generation replaces. A reader must resolve the link once and open all three
// through that folder; opening them one by one through the link may mix two generations.
func (s Store) save(r Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	texts, err := r.Encode()
	if err != nil {
		return err
	}
	m := s.Machine
	number := strconv.FormatUint(r.Generation, 10)
	generations := filepath.Join(s.Directory, "generations")
	temporary, final := filepath.Join(generations, "."+number), filepath.Join(generations, number)
	steps := []func() error{
		func() error { return m.RemoveAll("clear litter", temporary) },
		func() error { return m.MakeDirectory("make generation", temporary, 0o755) },
	}
	for _, name := range []string{ServerListFile, FileServerFile, DataRedundancyFile} {
		steps = append(steps, func() error {
			return m.WriteNew("write "+name, filepath.Join(temporary, name), texts[name], 0o644)
		})
	}
	steps = append(steps,
		func() error { return m.SyncDirectory("sync generation", temporary) },
		func() error { return m.RemoveAll("clear unfinished generation", final) },
		func() error { return m.Rename("name generation", temporary, final) },
		func() error { return m.SyncDirectory("sync generations", generations) },
		func() error {
			return m.SwapLink("swap current", filepath.Join("generations", number), s.Link())
		},
		func() error { return m.SyncDirectory("sync current", s.Directory) },
	)
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("save generation %d: %w", r.Generation, err)
		}
	}
	s.forgetOld(r.Generation)
	return nil
}

// forgetOld keeps the last generations only. A failure is not worth failing a save that is already done.
func (s Store) forgetOld(newest uint64) {
	numbers, err := s.Generations()
	if err != nil {
		return
	}
	for _, n := range numbers {
		if n+keptGenerations <= newest {
			_ = s.Machine.RemoveAll("forget generation", s.generation(n))
		}
	}
}

func (s Store) generation(n uint64) string {
	return filepath.Join(s.Directory, "generations", strconv.FormatUint(n, 10))
}

// Generation is a generation that is still on disk.
func (s Store) Generation(n uint64) (Record, error) { return Load(s.generation(n)) }

// Generations lists the numbers of the generations on disk, oldest first.
func (s Store) Generations() ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(s.Directory, "generations"))
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
