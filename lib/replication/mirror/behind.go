package mirror

import (
	"time"

	"hafs/lib/replication/change"
)

// Behind is a replica that does not take what others take. The file sharing server has it failed when that lasts, so that a spare steps in.
type Behind struct {
	Name  string    `json:"name"`
	Path  string    `json:"path"`
	Cause string    `json:"cause"`
	Since time.Time `json:"since"`
}

// keeping is what is known of one replica when it is asked who is behind.
type keeping struct {
	name     string
	complete bool   // it was compared as a whole and is fed
	lacks    []Lack // all it lacks
}

// behind finds the replica that lacks a path which another one has, in the order of the record; nil: there is none. It is one at a time, and never the last whole
// one: all others must be complete, and one of them lacks nothing that this one lacks for its own part. What all lack is nobody's fault, and neither is what
// cannot be read in the share.
func behind(all []keeping) *Behind {
	for i, k := range all {
		if !k.complete {
			continue
		}
		for _, l := range k.lacks {
			if l.Side == OfReplica && taken(all, i, l.Path) {
				return &Behind{Name: k.name, Path: l.Path, Cause: l.Cause, Since: l.Since}
			}
		}
	}
	return nil
}

// taken says whether all others are complete, and one of them has a path.
func taken(all []keeping, self int, path string) bool {
	has := false
	for i, k := range all {
		if i == self {
			continue
		}
		if !k.complete {
			return false
		}
		has = has || !lists(k.lacks, path)
	}
	return has
}

func lists(lacks []Lack, path string) bool {
	for _, l := range lacks {
		if l.Path == path || l.Below && change.Within(path, l.Path) {
			return true
		}
	}
	return false
}
