package mirror

import (
	"context"
	"slices"
	"sync"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// beside gathers where both sides are directories.
type beside struct {
	*gathering
	replica *tree.Root
	limit   *limiter
}

// looks gathers the pairs of single paths, and of the directories above them as far as those are not directories on both sides. It returns
// once everything is known.
func (g *beside) looks(ctx context.Context, paths []string) {
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
type opened struct {
	share, replica *tree.Dir
	unknown        bool // it cannot be told what is in one of them
}

func (g *beside) open(dir string) *opened {
	o := &opened{}
	var err error
	if o.share, err = g.share.Dir(dir); err != nil && !tree.Absent(err) {
		g.unlisted(dir, err)
		o.unknown = true
	}
	if o.replica, err = g.replica.Dir(dir); err != nil && !tree.Absent(err) {
		g.untold(dir, err)
		o.unknown = true
	}
	return o
}

// untold notes that the replica does not tell what it has at a path: because it does not answer, or because of this path.
func (g *beside) untold(path string, err error) {
	if lost(g.replica, err) {
		g.problem(parent(path), err)
		return
	}
	g.unknown(path, err)
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
func (g *beside) look(o *opened, path string) {
	_, name := change.Split(path)
	p := Pair{Path: path}
	var err error
	if o.unknown {
		return
	}
	if o.share != nil {
		if p.Source, err = o.share.Lstat(name); err != nil {
			g.unreadable(path, err)
			return
		}
	}
	if g.untouched(path, p.Source) {
		return
	}
	if o.replica != nil {
		if p.Replica, err = o.replica.Lstat(name); err != nil {
			g.untold(path, err)
			return
		}
	}
	g.judge(p, true)
}

// scan gathers the pairs of everything below a directory of the share. The directory itself is looked at by the caller.
func (g *beside) scan(ctx context.Context, dir string) {
	if ctx.Err() != nil {
		return
	}
	g.progress()
	o := g.open(dir)
	if o.share == nil || o.unknown {
		o.close()
		return
	}
	ours, err := o.share.List()
	if err != nil {
		o.close()
		if !tree.Absent(err) {
			g.unlisted(dir, err)
		}
		return
	}
	theirs := []string{}
	if o.replica != nil {
		if theirs, err = o.replica.List(); err != nil && !tree.Absent(err) {
			o.close()
			g.untold(dir, err)
			return
		}
	}
	ours = slices.DeleteFunc(ours, func(name string) bool { return change.Own(dir, name) })
	theirs = slices.DeleteFunc(theirs, func(name string) bool { return change.Trashed(dir, name) })
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

func (g *beside) scanned(ctx context.Context, o *opened, dir, name string, ours, theirs []string) {
	if ctx.Err() != nil {
		return
	}
	p := Pair{Path: change.Join(dir, name)}
	var err error
	if _, listed := slices.BinarySearch(ours, name); listed {
		if p.Source, err = o.share.Lstat(name); err != nil {
			g.unreadable(p.Path, err)
			return
		}
	}
	_, listed := slices.BinarySearch(theirs, name)
	if listed && !g.all && g.untouched(p.Path, p.Source) {
		return
	}
	if listed {
		if p.Replica, err = o.replica.Lstat(name); err != nil {
			g.untold(p.Path, err)
			return
		}
	}
	if g.all && p.Source != nil {
		g.journal.visit(p.Path, p.Source.Kind)
	}
	g.judge(p, false)
	if p.Source != nil && p.Source.Kind == change.Directory {
		g.limit.run(func() { g.scan(ctx, p.Path) })
	}
}

// reread compares the content of suspected files.
func (g *beside) reread(ctx context.Context, now time.Time) {
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
			same, err := g.same(path)
			if err == nil && !same {
				e, _ := g.replica.Lstat(path)
				g.pair(Pair{Path: path, Source: entries[path], Replica: e, Rewrite: true})
			}
		})
	}
	g.limit.wait()
}
