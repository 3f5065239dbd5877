package mirror

import (
	"iter"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
)

// listed is one entry of the share's listing.
type listed struct {
	path  string
	entry *change.Entry
}

// pairUp goes through two listings, both in the order of stream.Compare, and gives what they have at each path. What a replica has below a
// directory that the share does not have as one is left out: it goes with the directory. Where the replica could not be read the
// problem is given, and nothing of the share below it.
func pairUp(ours iter.Seq[listed], theirs iter.Seq[stream.Found], pair func(listed, stream.Found), problem func(path string, err error)) {
	next, stop := iter.Pull(theirs)
	defer stop()
	m := merging{pair: pair, problem: problem}
	f, more := next()
	for o := range ours {
		for more && stream.Compare(f.Path, o.path) < 0 {
			m.theirs(f)
			f, more = next()
		}
		switch {
		case m.blind != "" && change.Within(o.path, m.blind):
		case more && f.Path == o.path && f.Problem != nil:
			m.theirs(f)
			f, more = next()
		case more && f.Path == o.path:
			m.both(o, f)
			f, more = next()
		default:
			m.both(o, stream.Found{Path: o.path})
		}
	}
	for more {
		m.theirs(f)
		f, more = next()
	}
}

type merging struct {
	pair    func(listed, stream.Found)
	problem func(path string, err error)
	gone    string // a directory of the replica that is none in the share
	blind   string // where the replica could not be read
}

func (m *merging) theirs(f stream.Found) {
	switch {
	case m.gone != "" && change.Within(f.Path, m.gone):
	case f.Problem != nil:
		m.blind = f.Path
		m.problem(f.Path, f.Err())
	default:
		m.both(listed{path: f.Path}, f)
	}
}

func (m *merging) both(o listed, f stream.Found) {
	if f.Entry != nil && f.Entry.Kind == change.Directory && (o.entry == nil || o.entry.Kind != change.Directory) {
		m.gone = f.Path
	}
	m.pair(o, f)
}
