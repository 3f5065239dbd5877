package mirror

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
	"hafs/lib/watch"
)

// gathering looks at both sides and finds the pairs a plan needs. It changes nothing.
type gathering struct {
	share, replica *tree.Root
	fidelity       change.Fidelity
	journal        *journal
	limit          *limiter
	special        func(path string) // told of what is not replicated
	progress       func()

	mu         sync.Mutex
	pairs      []Pair
	incomplete map[string]bool
	problems   []error
	racy       []racy
	visited    map[string]struct{} // files seen by a scan of everything
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

// looks gathers the pairs of single paths, and of the directories above them as far as those are not directories on both sides. It returns
// once everything is known.
func (g *gathering) looks(ctx context.Context, paths []string) {
	byDir := map[string][]string{}
	added := map[string]bool{}
	var fresh []string
	add := func(path string) {
		if added[path] {
			return
		}
		added[path] = true
		dir := "."
		if path != "." {
			dir = parent(path)
		}
		if byDir[dir] == nil {
			fresh = append(fresh, dir)
		}
		byDir[dir] = append(byDir[dir], path)
	}
	for _, path := range paths {
		add(path)
	}
	both := map[string]*opened{}
	for len(fresh) > 0 {
		round := fresh
		fresh = nil
		results := make([]*opened, len(round))
		for i, dir := range round {
			g.limit.run(func() { results[i] = g.open(dir) })
		}
		g.limit.wait()
		for i, dir := range round {
			both[dir] = results[i]
			defer results[i].close()
			if dir != "." && (results[i].share == nil || results[i].replica == nil) {
				add(dir)
			}
		}
	}
	for dir, paths := range byDir {
		for chunk := range slices.Chunk(paths, chunkPaths) {
			g.limit.run(func() {
				for _, path := range chunk {
					if ctx.Err() != nil {
						return
					}
					g.look(both[dir], path)
				}
			})
		}
	}
	g.limit.wait()
}

// chunkPaths is how many paths of one directory one worker takes at once.
const chunkPaths = 32

// opened is one directory on both sides; nil where there is none.
type opened struct{ share, replica *tree.Dir }

func (g *gathering) open(dir string) *opened {
	o := &opened{}
	var err error
	if o.share, err = g.share.Dir(dir); err != nil && !tree.Absent(err) {
		g.problem(dir, err)
	}
	if o.replica, err = g.replica.Dir(dir); err != nil && !tree.Absent(err) {
		g.problem(dir, err)
	}
	return o
}

func (o *opened) close() {
	if o.share != nil {
		o.share.Close()
	}
	if o.replica != nil {
		o.replica.Close()
	}
}

// look gathers the pair of one path in an opened directory.
func (g *gathering) look(o *opened, path string) {
	_, name := change.Split(path)
	p := Pair{Path: path}
	var err error
	if o.share != nil {
		if p.Source, err = o.share.Lstat(name); err != nil {
			g.problem(parent(path), err)
			return
		}
	}
	if g.untouched(path, p.Source) {
		return
	}
	if o.replica != nil {
		if p.Replica, err = o.replica.Lstat(name); err != nil {
			g.problem(parent(path), err)
			return
		}
	}
	g.judge(p, true)
}

// untouched says whether a file is exactly what the replica was given last. Files with several names are always looked at: whether they are one
// file on the replica shows only when all are seen together.
func (g *gathering) untouched(path string, e *change.Entry) bool {
	if e == nil || e.Kind != change.File {
		return false
	}
	g.journal.seen(path, e)
	_, _, current := g.journal.get(path, e)
	return current && e.Nlink == 1
}

// judge adds what is known beyond the two entries, and keeps the pair if the plan may need it. event: something happened to this
// very path, so that looking the same is not enough.
func (g *gathering) judge(p Pair, event bool) {
	if p.Source != nil && p.Source.Kind == change.Special {
		g.special(p.Path)
	}
	switch {
	case p.Source == nil:
		g.journal.drop(p.Path)
	case p.Source.Kind == change.Directory && p.Replica != nil && p.Replica.Kind == change.Directory:
		g.journal.directory(p.Path, p.Source)
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
	g.journal.seen(p.Path, p.Source)
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
		g.journal.same(p.Path, p.Source)
	}
	if !same || p.Source.Nlink > 1 || p.Replica.Nlink > 1 {
		g.pair(p)
	}
}

// unchanged reads a file whose size and time say that only attributes changed: a time can be set to anything.
func (g *gathering) unchanged(p Pair, k known) bool {
	if k.hash != 0 {
		hash, err := hashFile(g.share, p.Path)
		return err == nil && hash == k.hash
	}
	same, err := watch.SameContent(g.share, g.replica, p.Path)
	return err == nil && same
}

// scan gathers the pairs of everything below a directory of the share. The directory itself is looked at by the caller.
func (g *gathering) scan(ctx context.Context, dir string) {
	if ctx.Err() != nil {
		return
	}
	g.progress()
	o := g.open(dir)
	if o.share == nil {
		o.close()
		return
	}
	ours, err := o.share.List()
	if err != nil {
		o.close()
		if !tree.Absent(err) {
			g.problem(dir, err)
		}
		return
	}
	theirs := []string{}
	if o.replica != nil {
		if theirs, err = o.replica.List(); err != nil && !tree.Absent(err) {
			o.close()
			g.problem(dir, err)
			return
		}
	}
	ours = slices.DeleteFunc(ours, func(name string) bool { return strings.HasPrefix(name, change.TemporaryPrefix) })
	slices.Sort(ours)
	slices.Sort(theirs)
	all := append(slices.Clone(ours), theirs...)
	slices.Sort(all)
	all = slices.Compact(all)
	var done sync.WaitGroup
	for chunk := range slices.Chunk(all, chunkPaths) {
		done.Add(1)
		g.limit.run(func() {
			defer done.Done()
			for _, name := range chunk {
				g.scanned(ctx, o, dir, name, ours, theirs)
			}
		})
	}
	go func() { done.Wait(); o.close() }()
}

func (g *gathering) scanned(ctx context.Context, o *opened, dir, name string, ours, theirs []string) {
	if ctx.Err() != nil {
		return
	}
	p := Pair{Path: change.Join(dir, name)}
	var err error
	if _, listed := slices.BinarySearch(ours, name); listed {
		if p.Source, err = o.share.Lstat(name); err != nil {
			g.problem(dir, err)
			return
		}
	}
	_, listed := slices.BinarySearch(theirs, name)
	if listed && g.visited == nil && g.untouched(p.Path, p.Source) {
		return
	}
	if listed {
		if p.Replica, err = o.replica.Lstat(name); err != nil {
			g.problem(dir, err)
			return
		}
	}
	if g.visited != nil && p.Source != nil {
		g.mu.Lock()
		g.visited[p.Path] = struct{}{}
		g.mu.Unlock()
	}
	g.judge(p, false)
	if p.Source != nil && p.Source.Kind == change.Directory {
		g.limit.run(func() { g.scan(ctx, p.Path) })
	}
}

// reread compares the content of suspected files.
func (g *gathering) reread(ctx context.Context, now time.Time) {
	entries := map[string]*change.Entry{}
	for _, r := range g.racy {
		entries[r.path] = r.entry
	}
	for _, path := range suspects(g.racy, now) {
		g.limit.run(func() {
			if ctx.Err() != nil {
				return
			}
			g.progress()
			same, err := watch.SameContent(g.share, g.replica, path)
			if err == nil && !same {
				e, _ := g.replica.Lstat(path)
				g.pair(Pair{Path: path, Source: entries[path], Replica: e, Rewrite: true})
			}
		})
	}
	g.limit.wait()
}

// otherNames adds the pairs of all names of files that have several: a plan needs them together.
func (g *gathering) otherNames(ctx context.Context) {
	have := map[string]bool{}
	for _, p := range g.pairs {
		have[p.Path] = true
	}
	var missing []string
	for _, p := range g.pairs {
		if p.Source == nil || p.Source.Kind != change.File || p.Source.Nlink < 2 {
			continue
		}
		for _, name := range g.journal.others(p.Path, p.Source) {
			if have[name] {
				continue
			}
			have[name] = true
			if e, err := g.share.Lstat(name); err == nil && (e == nil || e.Ino != p.Source.Ino || e.Dev != p.Source.Dev) {
				g.journal.forget(name, identity(p.Source))
				continue
			}
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		g.looks(ctx, missing)
	}
}

func (g *gathering) err() error { return summary(g.problems) }
