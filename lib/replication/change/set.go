package change

import "slices"

// Set holds what has been reported and not yet dealt with, in the order it was first reported. It is how a slow reader never holds up
// a fast writer: a path is in it once, however often it changes, and when there are too many paths it gives up detail for
// memory and says only which directory to compare as a whole. It is not safe for concurrent use.
type Set struct {
	Limit int // paths; more than these become one rescan

	items  []item
	paths  map[string]bool // of items that are neither rescans nor barriers; true: waited for
	scans  map[string]bool // directories of the rescans in items; true: waited for
	latest uint64
}

type item struct {
	change Change
	number uint64
}

// Len is how many changes are waiting.
func (s *Set) Len() int { return len(s.items) }

// Add reports a change; number grows with every report. It returns true when the limit made the set give up its details.
func (s *Set) Add(number uint64, c Change) bool {
	if s.paths == nil {
		s.paths, s.scans = map[string]bool{}, map[string]bool{}
	}
	s.latest = number
	switch {
	case c.Kind == Barrier:
	case s.covered(c.Path, c.Waited):
		return false
	case c.Kind == Rescan:
		s.scans[c.Path] = c.Waited
	default:
		if waited, known := s.paths[c.Path]; known {
			s.paths[c.Path] = waited || c.Waited
			return false
		}
		s.paths[c.Path] = c.Waited
	}
	s.items = append(s.items, item{c, number})
	if s.Limit > 0 && len(s.paths) > s.Limit {
		s.collapse()
		return true
	}
	return false
}

// Cover says that everything up to a number will be dealt with in another way.
func (s *Set) Cover(number uint64) { s.latest = max(s.latest, number) }

// covered says whether a rescan that is waiting will come past the path anyway, and is then waited for instead of it.
func (s *Set) covered(path string, wait bool) bool {
	if len(s.scans) == 0 {
		return false
	}
	for {
		if waited, scanned := s.scans[path]; scanned {
			s.scans[path] = waited || wait
			return true
		}
		if path == "." {
			return false
		}
		path, _ = Split(path)
	}
}

// collapse replaces all paths by a rescan of the deepest directory around all of them. Barriers stay, behind it.
func (s *Set) collapse() {
	around, first := "", true
	var barriers []item
	for _, it := range s.items {
		if it.change.Kind == Barrier {
			barriers = append(barriers, it)
			continue
		}
		dir := it.change.Path
		if it.change.Kind != Rescan {
			dir, _ = Split(dir)
		}
		for !first && !Within(dir, around) {
			around, _ = Split(around)
		}
		if first {
			around, first = dir, false
		}
	}
	s.items = append([]item{{Change{Kind: Rescan, Path: around}, s.items[0].number}}, barriers...)
	clear(s.paths)
	clear(s.scans)
	s.scans[around] = true
}

// Take removes up to limit changes from the front (0: all). Paths that a rescan among them comes past are left out. The number it
// returns is the one up to which nothing is waiting any more once these changes are dealt with.
func (s *Set) Take(limit int) ([]Change, uint64) {
	n := len(s.items)
	if limit > 0 && n > limit {
		n = limit
	}
	taken, rest := s.items[:n], slices.Clone(s.items[n:])
	for i := range taken {
		c := &taken[i].change
		switch c.Kind {
		case Rescan:
			c.Waited = s.scans[c.Path]
			delete(s.scans, c.Path)
		case Barrier:
		default:
			c.Waited = s.paths[c.Path]
			delete(s.paths, c.Path)
		}
	}
	changes := make([]Change, 0, n)
	for len(taken) > 0 { // a rescan must not take something past a barrier
		end := slices.IndexFunc(taken, func(it item) bool { return it.change.Kind == Barrier }) + 1
		if end == 0 {
			end = len(taken)
		}
		changes = append(changes, withoutCovered(taken[:end])...)
		taken = taken[end:]
	}
	s.items = rest
	if len(rest) > 0 {
		return changes, rest[0].number - 1
	}
	return changes, s.latest
}

func withoutCovered(items []item) []Change {
	scans := Set{scans: map[string]bool{}}
	for _, it := range items {
		if it.change.Kind == Rescan {
			scans.scans[it.change.Path] = it.change.Waited
		}
	}
	var changes []Change
	for _, it := range items {
		if it.change.Kind == Barrier || it.change.Kind == Rescan || !scans.covered(it.change.Path, it.change.Waited) {
			changes = append(changes, it.change)
		}
	}
	for i, c := range changes {
		changes[i].Waited = c.Waited || c.Kind == Rescan && scans.scans[c.Path]
	}
	return changes
}
