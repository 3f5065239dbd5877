package mirror

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// far gathers from a replica that is asked over a stream: for many paths at once, or for everything below a directory.
type far struct {
	*gathering
	session *stream.Session
	foresee func(paths []string) error // asks at once for sums that will be wanted
	weighs  bool                       // it matters how many files are to go
	weighed string                     // the directory that was counted last, of this comparison; empty: none
	limits  Parts
	large   []string // directories with more in them than one part may have: they are left to comparisons
	scanned int      // entries, of both sides
	rest    []string // directories that were not scanned, as there was so much in those before
}

// gather finds all pairs of changes, as far as memory is to be taken for them at once. An error means that the session is over.
func (g *far) gather(ctx context.Context, changes []change.Change) error {
	paths, scans := asked(changes)
	if err := g.looks(paths); err != nil {
		return err
	}
	for i, dir := range scans {
		if g.scanned >= g.limits.Entries {
			g.rest = scans[i:]
			break
		}
		if err := g.scan(ctx, dir); err != nil {
			return err
		}
	}
	return errors.Join(g.resolve(), g.weighBelow())
}

// withoutDeletes leaves out what the share does not have, and returns where that is.
func (g *far) withoutDeletes() []string {
	var paths []string
	g.pairs = slices.DeleteFunc(g.pairs, func(p Pair) bool {
		if p.Source == nil {
			paths = append(paths, p.Path)
		}
		return p.Source == nil
	})
	return paths
}

// resolve looks at what else is to be known of the pairs that were found: files that may have changed unseen, and their other names.
func (g *far) resolve() error {
	if err := g.foresee(g.suspects); err != nil {
		return err
	}
	if err := g.looks(g.suspects); err != nil {
		return err
	}
	return g.looks(g.otherNames())
}

// weighBelow counts what goes with directories that are to go.
func (g *far) weighBelow() error {
	if !g.weighs {
		return nil
	}
	gone := map[string]bool{}
	for _, p := range g.pairs {
		if p.Source == nil && isDirectory(p.Replica) {
			gone[p.Path] = true
		}
	}
	if len(gone) == 0 {
		return nil
	}
	for i := range g.pairs {
		p := &g.pairs[i]
		for dir := p.Path; p.Source == nil && dir != "." && p.Weight > 0; {
			if dir = parent(dir); gone[dir] {
				p.Weight = 0 // it is counted there
			}
		}
		if p.Source == nil && g.weighed != "" && change.Within(p.Path, g.weighed) {
			p.Weight = 0
		}
		if p.Weight == 0 || !gone[p.Path] {
			continue
		}
		g.weighed = p.Path
		var lost error
		for range listing(g.session, stream.Listing{Directory: p.Path}, &lost) {
			p.Weight++
		}
		if lost != nil {
			return lost
		}
	}
	return nil
}

// looks gathers the pairs of single paths, and of the directories above them as far as those are not directories on both sides, in one
// request.
func (g *far) looks(paths []string) error {
	sources := map[string]*change.Entry{}
	wanted := map[string]bool{} // false: only a directory above one
	var ask []string
	for _, path := range paths {
		if wanted[path] {
			continue
		}
		e, err := g.share.Lstat(path)
		if err == nil && len(path) > change.MaxPathBytes {
			err = tooLong(parent(path))
		}
		if err != nil {
			g.unreadable(path, err)
			continue
		}
		_, above := wanted[path]
		wanted[path] = true
		if !above && (g.untouched(path, e) || isDirectory(e) && g.journal.settled(path, e)) {
			continue
		}
		if sources[path] = e; !above {
			ask = append(ask, path)
		}
		for dir := path; dir != "."; {
			if dir = parent(dir); dir == "." {
				break
			}
			if _, known := wanted[dir]; known {
				break // and so is what is above it
			}
			if sources[dir], err = g.share.Lstat(dir); err != nil {
				g.unreadable(dir, err)
				break
			}
			if e := sources[dir]; isDirectory(e) && g.journal.knows(dir, e) {
				break // a directory there too, and what is above it
			}
			wanted[dir] = false
			ask = append(ask, dir)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	found, err := g.session.Look(ask, false)
	if err != nil {
		return err
	}
	for _, f := range found {
		p := Pair{Path: f.Path, Source: sources[f.Path], Replica: f.Entry}
		switch {
		case f.Problem != nil:
			g.unknown(f.Path, f.Err())
		case wanted[f.Path] || !isDirectory(p.Source) || !isDirectory(p.Replica):
			g.judge(p, true)
		}
	}
	return nil
}

func isDirectory(e *change.Entry) bool { return e != nil && e.Kind == change.Directory }

// scan gathers the pairs of everything below a directory of the share, if that is not large. The directory itself is looked at by the caller.
func (g *far) scan(ctx context.Context, dir string) error {
	e, err := g.share.Lstat(dir)
	if err != nil {
		g.unreadable(dir, err)
	}
	if err != nil || !isDirectory(e) {
		return nil
	}
	ours, theirs, end, err := g.list(ctx, &Comparison{Directory: dir, names: &stream.Names{}})
	if err != nil {
		return err
	}
	if end != "" {
		g.large = append(g.large, dir)
		return nil
	}
	g.scanned += len(ours) + len(theirs)
	pairUp(slices.Values(ours), slices.Values(theirs), func(o listed, f stream.Found) {
		g.judge(Pair{Path: o.path, Source: o.entry, Replica: f.Entry}, false)
	}, g.unknown)
	return nil
}

// listing is the replica's side. It ends early when the session does, which lost then tells of: what was concluded from it is void.
func listing(session *stream.Session, l stream.Listing, lost *error) iter.Seq[stream.Found] {
	return func(yield func(stream.Found) bool) {
		for f, err := range session.List(l, nil) {
			if err != nil {
				*lost = err
				return
			}
			if !yield(f) {
				return
			}
		}
	}
}

// walkShare lists everything below a directory in the order of stream.Compare. A directory that is not listed in full is told to problem.
func walkShare(ctx context.Context, share *tree.Root, dir string, t troubles) iter.Seq[listed] {
	return walkOn(ctx, share, dir, "", &stream.Names{}, t)
}

// walkOn is walkShare from behind a path; empty: from the beginning.
func walkOn(ctx context.Context, share *tree.Root, dir, after string, names *stream.Names, t troubles) iter.Seq[listed] {
	return func(yield func(listed) bool) {
		w := walking{ctx: ctx, share: share, after: after, names: names, troubles: t, yield: yield}
		w.below(dir)
	}
}

type walking struct {
	ctx   context.Context
	share *tree.Root
	after string
	names *stream.Names
	yield func(listed) bool
	troubles
}

// troubles is what is told of what a walk cannot see: a directory that was not listed in full, and a name of which it is not known what it is.
type troubles struct {
	unlisted func(dir string, err error)
	unseen   func(path string, err error)
}

func (g *gathering) troubles() troubles { return troubles{g.unlisted, g.unreadable} }

// tooLong is the error of what is in a directory and has a path that nobody can name at once.
func tooLong(dir string) error {
	return fmt.Errorf("a path in %s... is longer than %d bytes: %w", dir[:min(len(dir), 100)], change.MaxPathBytes, unix.ENAMETOOLONG)
}

func (w *walking) below(dir string) bool {
	if err := w.ctx.Err(); err != nil {
		w.unlisted(dir, err)
		return false
	}
	d, err := w.share.Dir(dir)
	var names []string
	if err == nil {
		defer d.Close()
		names, err = w.names.Of(d)
	}
	if err != nil {
		if !tree.Absent(err) {
			w.unlisted(dir, err)
		}
		return true
	}
	for _, name := range names {
		if change.Own(dir, name) {
			continue
		}
		path := change.Join(dir, name)
		if len(path) > change.MaxPathBytes {
			w.unlisted(dir, tooLong(dir))
			continue
		}
		passed, into := stream.Passed(path, w.after)
		if passed && !into {
			continue
		}
		e, err := d.Lstat(name)
		if err != nil {
			w.unseen(path, err)
		}
		if err != nil || e == nil {
			continue
		}
		if !passed && !w.yield(listed{path, e}) || isDirectory(e) && !w.below(path) {
			return false
		}
	}
	return true
}
