package agree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hafs/lib/host/problem"
	"hafs/lib/host/system"
)

// Store keeps this server's vote for the generation being chosen in one file.
type Store struct {
	Machine system.Machine
	Path    string // such as /var/lib/hafs/vote.json
}

// ErrDamaged means that a vote cannot be read: it may have been for the next generation, so a server that has it does not vote.
var ErrDamaged = problem.As(problem.DamagedVote, errors.New("damaged: this server does not vote"))

// Load is the vote for a generation. A server that has not voted on it yet has an empty one; a vote that cannot be read is an error,
// and such a server must not vote: it may have forgotten a promise.
func (s Store) Load(generation uint64) (Vote, error) {
	text, err := os.ReadFile(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Vote{Generation: generation}, nil
	}
	if err != nil {
		return Vote{}, fmt.Errorf("vote: %w", err)
	}
	var v Vote
	if err := json.Unmarshal(text, &v); err != nil || v.Generation == 0 {
		return Vote{}, fmt.Errorf("vote %s: %w (%v)", s.Path, ErrDamaged, err)
	}
	if v.Generation >= generation && v.Value != nil {
		if err := v.Value.Newer(); err != nil {
			return Vote{}, fmt.Errorf("vote %s: %w", s.Path, err)
		}
	}
	switch {
	case v.Generation < generation: // decided since
		return Vote{Generation: generation}, nil
	case v.Generation > generation:
		return Vote{}, fmt.Errorf("vote %s is for generation %d already", s.Path, v.Generation)
	}
	return v, nil
}

// Save makes a vote durable. Only then may the answer be sent.
func (s Store) Save(v Vote) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temporary := s.Path + ".new"
	m := s.Machine
	if err := m.WriteNew("write vote", temporary, text, 0o600); err != nil {
		return err
	}
	if err := m.Rename("name vote", temporary, s.Path); err != nil {
		return err
	}
	return m.SyncDirectory("sync vote", filepath.Dir(s.Path))
}

// Discard takes the vote away. Only a server that cannot have voted on the generation to come may do so: one that has failed in the present one.
func (s Store) Discard() error {
	if err := s.Machine.RemoveAll("discard vote", s.Path); err != nil {
		return err
	}
	return s.Machine.SyncDirectory("sync vote", filepath.Dir(s.Path))
}
