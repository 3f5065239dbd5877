// Package exitcode holds every exit status of every program here, so that units, playbooks and people can rely on
// them. kong itself ends with 80 when the command line is wrong.
package exitcode

import "errors"

const (
	Done     = 0 // done, or the answer is yes
	Failed   = 1 // failed, or the answer is no
	Refused  = 3 // refused on purpose; the reason is printed
	Minority = 4 // no majority of the servers answered
	Nothing  = 5 // there was nothing to do
)

// Error carries the exit status a program should end with. It prints as the error it wraps.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is what kong asks an error for before it ends the process.
func (e *Error) ExitCode() int { return e.Status }

// With gives an error its exit status. With(…, nil) is nil.
func With(status int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Status: status, Err: err}
}

// Of is the exit status of an error: the one it carries, Failed for any other, Done for nil.
func Of(err error) int {
	if err == nil {
		return Done
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return Failed
}
