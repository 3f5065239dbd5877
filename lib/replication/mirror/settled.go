package mirror

import (
	"fmt"
	"syscall"
	"time"
)

// copyState is how one replica stands to a change that somebody waits for.
type copyState struct {
	name    string
	stands  bool          // it could take the share over, or has not said yet that it could not
	has     bool          // everything up to the change
	missing bool          // it lacks something else that was acknowledged, so that it may not succeed
	lack    *Lack         // what it lacks of this change; nil: nothing
	quiet   time.Duration // it has done nothing for so long since the change was made
}

// Uncopied is the error of a change that does not get its copies.
type Uncopied struct {
	Replica, Path, Cause string
	Errno                syscall.Errno
}

func (u Uncopied) Error() string {
	if u.Path == "" {
		return "too few copies: " + u.Replica + " " + u.Cause
	}
	return fmt.Sprintf("too few copies: %s on %s: %s", u.Path, u.Replica, u.Cause)
}

func (u Uncopied) Unwrap() error {
	if u.Errno == 0 {
		return syscall.EIO
	}
	return u.Errno
}

// settled decides what becomes of a change: it is settled (nil), is to be waited for (wait), or will not get its copies.
//
// More than half of those that stand must have it, and more than half of those that may succeed: one that lacks what was acknowledged before may not, so it
// cannot stand for what is acknowledged now. A replica that lacks a path of the change does not have it. Of the others each may get it yet, unless it has done
// nothing for the patience; once too few are left of either, there is no use waiting: what a replica misses may stay so. atLeast is how many must stand; patience 0 is one without an end.
func settled(copies []copyState, atLeast int, patience time.Duration) (wait bool, err error) {
	var standing, having, hopeless, fit, fitHaving, fitHopeless int
	var cause *copyState
	for i, c := range copies {
		if !c.stands {
			continue
		}
		has := c.has && c.lack == nil
		standing++
		having += count1(has)
		if !c.missing {
			fit++
			fitHaving += count1(has)
		}
		if has || c.lack == nil && (patience == 0 || c.quiet < patience) {
			continue
		}
		hopeless++
		fitHopeless += count1(!c.missing)
		if cause == nil || cause.lack == nil && c.lack != nil {
			cause = &copies[i]
		}
	}
	switch {
	case standing < atLeast:
		return false, ErrNoCopies
	case standing == 0:
		return false, nil
	case having > standing/2 && (fit == 0 || fitHaving > fit/2):
		return false, nil
	case standing-hopeless > standing/2 && (fit == 0 || fit-fitHopeless > fit/2):
		return true, nil
	case cause.lack != nil:
		return false, Uncopied{Replica: cause.name, Path: cause.lack.Path, Cause: cause.lack.Cause, Errno: cause.lack.Errno}
	}
	return false, Uncopied{Replica: cause.name, Cause: fmt.Sprintf("has done nothing for %s", cause.quiet.Round(time.Second))}
}

func count1(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
