package mirror

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// gathering finds the pairs a plan needs, from what both sides have. It changes nothing. How the replica is looked at is the matter of
// beside and far.
type gathering struct {
	share    *tree.Root
	fidelity change.Fidelity
	journal  *journal
	same     func(path string) (bool, error) // compares the content on both sides
	left     func(path, reason string)       // told of what is not replicated
	progress func()

	mu         sync.Mutex
	pairs      []Pair
	incomplete map[string]bool
	problems   []error
	lacking    map[string]failure // what costs only itself; nil: everything is a problem
	looked     looked             // says of a path whether all that can be known of it was gathered; nil: of none
	kept       map[string]bool    // paths of which it is not known what the share has there: the replica keeps what it has
	racy       []racy
	suspects   []string // files that something may have happened to, to be looked at once the replica's listing is read
	all        bool     // this is part of a comparison of everything
}

// asked are the paths that changes tell to look at, and the directories below which everything is to be compared.
func asked(changes []change.Change) (paths, scans []string) {
	for _, c := range changes {
		switch c.Kind {
		case change.Barrier:
		case change.Rescan:
			paths, scans = append(paths, c.Path, parent(c.Path)), append(scans, c.Path)
		default: // whatever happened there, even if nothing is left of it, changed the time of its directory
			paths = append(paths, c.Path, parent(c.Path))
		}
	}
	return paths, scans
}

// racy is a file that looks the same by whole seconds and may have been edited again within its second.
type racy struct {
	path  string
	entry *change.Entry
}

func (g *gathering) pair(p Pair) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pairs = append(g.pairs, p)
}

// problem notes that a directory of the share could not be read in full.
func (g *gathering) problem(dir string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.incomplete[dir] = true
	g.problems = append(g.problems, err)
}

// unreadable notes that it cannot be told what the share has at a path.
func (g *gathering) unreadable(path string, err error) {
	if g.lacking == nil {
		g.problem(parent(path), err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lacking[path], g.kept[path] = failure{OfShare, err, true}, true
}

// keeps says whether the replica is to keep what it has at a path.
func (g *gathering) keeps(path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept[path]
}

// unlisted notes that a directory of the share was not read in full.
func (g *gathering) unlisted(dir string, err error) {
	if g.lacking == nil {
		g.problem(dir, err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lacking[dir], g.incomplete[dir] = failure{OfShare, err, true}, true
}

// unknown notes that it cannot be told what the replica has at a path.
func (g *gathering) unknown(path string, err error) {
	if g.lacking == nil {
		g.problem(path, err)
		g.problem(parent(path), err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.lacking[path]; !known {
		g.lacking[path] = failure{OfReplica, err, true}
	}
}

// unknownToReplica says whether it cannot be told what the replica has somewhere.
func (g *gathering) unknownToReplica() bool {
	for _, f := range g.lacking {
		if f.side == OfReplica {
			return true
		}
	}
	return false
}

// untouched says whether a file is exactly what the replica was given last. Files with several names are always looked at: whether they are one
// file on the replica shows only when all are seen together.
func (g *gathering) untouched(path string, e *change.Entry) bool {
	if e == nil || e.Kind != change.File {
		return false
	}
	g.journal.names.seen(path, e)
	_, _, current := g.journal.get(path, e)
	return current && e.Nlink == 1
}

// judge adds what is known beyond the two entries, and keeps the pair if the plan may need it. event: something happened to this
// very path, so that looking the same is not enough.
func (g *gathering) judge(p Pair, event bool) {
	if p.Source == nil && g.keeps(p.Path) {
		return
	}
	if p.Source != nil && p.Source.Kind == change.Special {
		g.left(p.Path, "a FIFO, socket or device")
	}
	if p.Source != nil && !p.Source.Xattrs.Known() {
		g.left(p.Path, change.ErrXattrs.Error())
		if g.lacking != nil && p.Source.Kind != change.Directory {
			g.mu.Lock()
			g.lacking[p.Path] = failure{OfShare, fmt.Errorf("%w: %w", change.ErrXattrs, unix.E2BIG), false}
			g.mu.Unlock()
		}
		if p.Source.Kind != change.Directory { // the replica keeps what it has; of a directory only these attributes stay as they are
			return
		}
	}
	switch {
	case p.Source == nil:
		p.Weight = 1
		g.journal.drop(p.Path)
	case p.Source.Kind == change.Directory && p.Replica != nil && p.Replica.Kind == change.Directory:
		g.journal.directory(p.Path, p.Source)
		if change.Compare(p.Source, p.Replica, g.fidelity) == change.Same {
			g.journal.settle(p.Path, p.Source)
		}
	}
	if p.Source != nil && p.Replica != nil && p.Source.Kind == change.Symlink && p.Replica.Unknown() {
		if _, _, current := g.journal.get(p.Path, p.Source); current {
			p.Replica.Target = p.Source.Target
		}
	}
	if p.Source == nil || p.Source.Kind != change.File {
		if change.Compare(p.Source, p.Replica, g.fidelity) != change.Same {
			g.pair(p)
		}
		return
	}
	g.journal.names.seen(p.Path, p.Source)
	k, found, current := g.journal.get(p.Path, p.Source)
	if g.fidelity.UnknownIdentity && p.Replica != nil {
		p.Replica.Dev, p.Replica.Ino = 0, k.inode
	}
	alike := p.Replica != nil && p.Replica.Kind == change.File && !change.ContentDiffers(p.Source, p.Replica, g.fidelity)
	switch {
	case !alike || current:
	case found && (k.mtime != p.Source.Mtime || k.id != identity(p.Source)):
		p.Rewrite = true
	case event:
		p.Rewrite = !g.unchanged(p, k)
	case found || g.journal.doubtful(p.Source): // a rescan of a directory above takes the place of events
		g.suspect(p.Path)
		return
	case !found && g.fidelity.Clock > 0:
		g.mu.Lock()
		g.racy = append(g.racy, racy{p.Path, p.Source})
		g.mu.Unlock()
	}
	same := change.Compare(p.Source, p.Replica, g.fidelity) == change.Same && !p.Rewrite
	if same && found && event {
		g.journal.keep(p.Path, p.Source)
	}
	if same && !found && p.Source.Nlink == 1 { // whether several names are one file there too is seen when they are linked
		if event {
			g.journal.same(p.Path, p.Source)
		} else {
			g.journal.compared(p.Path, p.Source)
		}
	}
	if !same || p.Source.Nlink > 1 || p.Replica.Nlink > 1 {
		g.pair(p)
	}
}

func (g *gathering) suspect(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspects = append(g.suspects, path)
}

// unchanged reads a file whose size and time say that only attributes changed: a time can be set to anything.
func (g *gathering) unchanged(p Pair, k known) bool {
	if k.hash != 0 {
		hash, err := hashFile(g.share, p.Path)
		return err == nil && hash == k.hash
	}
	same, err := g.same(p.Path)
	return err == nil && same
}

// otherNames lists all names, of files that have several, that are not among the pairs yet: a plan needs them together.
func (g *gathering) otherNames() []string {
	have := map[string]bool{}
	for _, p := range g.pairs {
		have[p.Path] = true
	}
	var missing []string
	for _, p := range g.pairs {
		if p.Source == nil || p.Source.Kind != change.File || p.Source.Nlink < 2 {
			continue
		}
		for _, name := range g.journal.names.others(p.Path, p.Source) {
			if have[name] {
				continue
			}
			have[name] = true
			if e, err := g.share.Lstat(name); err == nil && (e == nil || e.Ino != p.Source.Ino || e.Dev != p.Source.Dev) {
				g.journal.names.drop(name, identity(p.Source))
				continue
			}
			missing = append(missing, name)
		}
	}
	return missing
}

// deletes counts the files that the pairs take away.
func (g *gathering) deletes() int {
	n := 0
	for _, p := range g.pairs {
		if p.Source == nil && p.Replica != nil {
			n += p.Weight
		}
	}
	return n
}

func (g *gathering) err() error { return summary(g.problems) }
