package watch

import "time"

// Moment is one instant on two clocks: the wall clock, by which the kernel dates files, and one that is never set.
type Moment struct {
	Wall   int64 // nanoseconds since 1970
	Steady int64 // nanoseconds since the program began
}

// margin is more than the grain of the times of any file system HAFS meets (one second), and covers a clock that was set back by less.
const margin = 2 * time.Second

var began = time.Now()

func now() Moment {
	t := time.Now()
	return Moment{t.UnixNano(), int64(t.Sub(began))}
}

// setBack says whether the wall clock was set back between two moments, so that what happened after the first may be dated before it.
func setBack(earlier, later Moment) bool {
	return later.Wall-earlier.Wall < later.Steady-earlier.Steady-int64(margin/2)
}

// since is the time from which on a file's date says that it may have changed after the moment.
func (m Moment) since() int64 { return m.Wall - int64(margin) }
