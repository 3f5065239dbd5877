package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hafs/lib/replication/change"
)

// Transport makes one replica like the share.
type Transport interface {
	// Apply deals with changes: afterwards the replica is like the share at their paths, as the share was at some time after the call. After
	// an error nothing is known but that every file there is whole; a rescan of everything has to follow.
	//
	// Errors that are ErrShareGone end the mirror. A Refusal means that the replica, or the share, is not what it should be.
	Apply(ctx context.Context, changes []change.Change) error
	// Close gives up the replica. It may be called while Apply hangs.
	Close()
}

var (
	// ErrShareGone means that the share is not where it was when the mirror started: nothing can be concluded from it any more.
	ErrShareGone = errors.New("the share is gone")
	// ErrFull means that the replica has no room.
	ErrFull = errors.New("full")
)

// asksForAll says whether changes call for comparing everything.
func asksForAll(changes []change.Change) bool {
	for _, c := range changes {
		if c.Kind == change.Rescan && c.Path == "." {
			return true
		}
	}
	return false
}

// withoutAll leaves the request to compare everything out.
func withoutAll(changes []change.Change) []change.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c change.Change) bool { return c.Kind == change.Rescan && c.Path == "." })
}

// Unfinished is the error of an Apply that did all it was asked for, but that some directories have more in them than others should wait for. A Comparison of
// each is to follow.
type Unfinished struct{ Directories []string }

func (u Unfinished) Error() string {
	return fmt.Sprintf("%d directories are to be compared in parts, the first is %s", len(u.Directories), u.Directories[0])
}

// Gradual is a Transport that compares what is large in parts, and whose replica keeps the position it has come to. Changes may be applied before and
// between the parts.
type Gradual interface {
	Transport
	// LeadsTo tells, before an Apply or a Part, which position that one leads to if it succeeds.
	LeadsTo(change.Position)
	Part(context.Context, *Comparison) error
	Standing() Standing
}

// Standing is whether a replica could take the share over.
type Standing int32

// What is known of that.
const (
	Unheard Standing = iota // it has not said so yet
	Unfilled
	Whole // it was, at least; it lacks what came since
)
