// Package problem gives what can be wrong with a server an id. Others recognise it by that, whatever the words are: an error has its id where it arises, and
// takes it along in a key beside its text. An id stays what it is from release to release; one that a reader does not know is like none.
//
// docs/status.md says of each what it means and what to do about it.
package problem

import "errors"

// ID is a noun phrase such as read-only-file-system.
type ID string

// Those that travel; lib/node/status has others, which it finds out itself.
const (
	RefusedKey      ID = "refused-key"
	HostCertificate ID = "bad-host-certificate"
	SmallPackets    ID = "small-packets-only"
	DamagedVote     ID = "damaged-vote"
	UnmountedShare  ID = "unmounted-share"
	EmptyDisk       ID = "empty-disk" // in the place of a copy

	ReadOnly  ID = "read-only-file-system"
	Failing   ID = "failing-file-system" // I/O errors
	Full      ID = "full-file-system"
	Frozen    ID = "frozen-file-system" // no answer
	Refusing  ID = "refusing-file-system"
	NoSuchDir ID = "missing-directory"
	Slow      ID = "slow-file-system"
	NoInodes  ID = "scarce-inodes"
	NoRoom    ID = "scarce-room"

	PartDown   ID = "part-down"
	PartSilent ID = "part-silent" // it runs, and does not say that it works
	Unseen     ID = "unseen-parts"
	NoWatches  ID = "exhausted-watches"
	NoInotify  ID = "exhausted-inotify-instances"
)

// Problem is one that a server tells of itself.
type Problem struct {
	ID   ID     `json:"id"`
	Part string `json:"part,omitempty"` // of the server: a unit or a directory
	Text string `json:"text"`
	Note bool   `json:"note,omitempty"` // nothing is lost or at risk by it
}

// Error is an error with an id.
type Error struct {
	ID   ID
	Part string // of the server: a unit or a directory; empty: none is meant
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// As gives an error its id. Without an id, or an error, it changes nothing.
func As(id ID, err error) error { return On("", id, err) }

// On is As with the part that has the problem.
func On(part string, id ID, err error) error {
	if id == "" || err == nil {
		return err
	}
	return &Error{ID: id, Part: part, Err: err}
}

// Of is the id of an error, or of the first among those that are joined; empty: it has none.
func Of(err error) ID {
	var e *Error
	if errors.As(err, &e) {
		return e.ID
	}
	return ""
}

// PartOf is the part that has the problem which Of names; empty: none is meant.
func PartOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Part
	}
	return ""
}
