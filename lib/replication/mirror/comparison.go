package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
)

// Comparison is one of everything, or of all that is in a directory, made in parts so that changes are applied between them. What changes behind the place it
// has come to is told by the watch, so that the replica is like the share there at its end.
type Comparison struct {
	Directory string // ".": everything
	Sums      bool   // contents too, by their SHA-256
	Waited    bool   // what was applied before its end does not count yet; then all of the replica is on the disk
	Began     time.Time
	Entries   int   // of the share, so far
	Sent      int64 // bytes of content
	Read      int64 // bytes whose sums were compared
	Differed  []string
	Done      bool

	after    string // everything up to this path was compared; empty: nothing yet
	weighed  string // the directory that is to go whose files were counted last
	session  *stream.Session
	names    *stream.Names
	problems []error
}

// NewComparison is a comparison of everything that has not begun.
func NewComparison(sums bool) *Comparison {
	return &Comparison{Directory: ".", Sums: sums, Began: time.Now()}
}

func (c *Comparison) whole() bool { return c.Directory == "." }

// passes says whether a comparison comes past all that is in a directory from now on.
func (c *Comparison) passes(dir string) bool {
	return change.Within(dir, c.Directory) && (c.after == "" || stream.Compare(dir, c.after) > 0)
}

// Parts bounds a part of a comparison, for which changes wait.
type Parts struct {
	Entries int   // of the share, or of the replica
	Writes  int   // that may differ
	Bytes   int64 // of files that differ
}

var defaultParts = Parts{Entries: 4096, Writes: 1000, Bytes: 32 << 20}

// maxDiffered is how many of the files with another content are named.
const maxDiffered = 20

// Part makes the next part of a comparison, and the replica like the share there. Files that could not be written are an error of the last part
// only.
func (s *Stream) Part(ctx context.Context, c *Comparison) error {
	return s.call(ctx, func(ctx context.Context) error { return s.part(ctx, c) })
}

func (s *Stream) part(ctx context.Context, c *Comparison) error {
	position := s.position
	s.position = nil
	if err := s.check(ctx); err != nil {
		return err
	}
	if c.session != s.session { // what an older session left behind is not known
		c.session, c.names, c.after, c.weighed, c.problems, c.Entries = s.session, &stream.Names{}, "", "", nil, 0
		if c.whole() {
			s.journal.begin()
			s.Deletes.begin()
		}
	}
	g := s.gathering()
	g.weighed = c.weighed
	last, err := g.part(ctx, c)
	if err != nil {
		return err
	}
	c.weighed = g.weighed
	if err := ctx.Err(); err != nil {
		return err
	}
	c.problems = append(c.problems, g.problems...)
	if !last || len(c.problems) > 0 || !c.whole() && !s.compared {
		position = nil
	}
	var waited []change.Change
	if last && (c.Waited || !s.compared) { // what was waited for may have come with an older session, or a part
		waited = []change.Change{{Kind: change.Rescan, Path: ".", Waited: true}}
	}
	sent, err := s.make(ctx, g, waited, position)
	c.Sent += sent
	if again := (vanishedName{}); errors.As(err, &again) {
		if s.lacks != nil && s.lacks.missing() {
			position = nil
		}
		if err = s.apply(ctx, again.looks()); err == nil && (position != nil || len(waited) > 0) {
			_, err = s.send(nil, s.durable(waited), position)
		}
	}
	if err != nil {
		if s.session.Err() != nil || errors.Is(err, ErrFull) || errors.Is(err, ErrShareGone) {
			return err
		}
		c.problems = append(c.problems, err)
	}
	if !last {
		return nil
	}
	if err := summary(c.problems); err != nil {
		return err
	}
	if c.Done = true; s.lacks != nil {
		s.lacks.compared(c.Directory, c.Began)
	}
	if !c.whole() {
		return nil
	}
	s.journal.retain()
	s.Deletes.end()
	s.compared = true
	return nil
}

// part gathers the pairs of the next part of a comparison, and moves on. The last part is one that came to the end.
func (g *far) part(ctx context.Context, c *Comparison) (last bool, err error) {
	if c.after == "" {
		if err := g.looks([]string{c.Directory}); err != nil {
			return false, err
		}
	}
	ours, theirs, end, err := g.list(ctx, c)
	if err != nil {
		return false, err
	}
	pairUp(slices.Values(ours), slices.Values(theirs), func(o listed, f stream.Found) {
		if o.entry == nil && g.came(o.path) {
			return
		}
		if o.entry != nil {
			g.journal.visit(o.path, o.entry.Kind)
		}
		p := Pair{Path: o.path, Source: o.entry, Replica: f.Entry}
		if f.Sum != nil {
			c.Read += f.Entry.Size
			p.Rewrite = c.contentDiffers(g, o, f)
		}
		g.judge(p, false)
	}, g.unknown)
	if cutAt := g.bound(); cutAt != "" {
		end = cutAt
	}
	for _, o := range ours {
		if end == "" || stream.Compare(o.path, end) <= 0 {
			c.Entries++
		}
	}
	if err := errors.Join(g.resolve(), g.weighBelow()); err != nil {
		return false, err
	}
	c.after = end
	return end == "", nil
}

// came says whether the share has something, or may have, at a path that is not in its listing: it came to a large directory since the names in that were read. Of
// what comes the watch tells.
func (g *far) came(path string) bool {
	e, err := g.share.Lstat(path)
	if err != nil {
		g.unreadable(path, err)
	}
	return e != nil || err != nil
}

// list is what both sides have next in what is compared, up to a path and not more than a part may have; empty: it is all that is left.
func (g *far) list(ctx context.Context, c *Comparison) (ours []listed, theirs []stream.Found, end string, err error) {
	more := false
	for f, err := range g.session.List(stream.Listing{Directory: c.Directory, After: c.after, Limit: g.limits.Entries, Sums: c.Sums}, &more) {
		if err != nil {
			return nil, nil, "", err
		}
		theirs = append(theirs, f)
	}
	if more {
		end = theirs[len(theirs)-1].Path
	}
	for o := range walkOn(ctx, g.share, c.Directory, c.after, c.names, g.troubles()) {
		if end != "" && stream.Compare(o.path, end) > 0 {
			break
		}
		if ours = append(ours, o); len(ours) < g.limits.Entries {
			continue
		}
		end = o.path
		at, found := slices.BinarySearchFunc(theirs, end, func(f stream.Found, end string) int { return stream.Compare(f.Path, end) })
		for found && at < len(theirs) && theirs[at].Path == end { // a problem follows its entry
			at++
		}
		theirs = theirs[:at]
		break
	}
	return ours, theirs, end, nil
}

// bound leaves so many pairs as one part may have, in the order of the listing, and says where it ended; empty: all are left.
func (g *far) bound() (end string) {
	limits := g.limits
	slices.SortStableFunc(g.pairs, func(a, b Pair) int { return stream.Compare(a.Path, b.Path) })
	bytes := int64(0)
	for i, p := range g.pairs {
		if isFile(p.Source) && (p.Replica == nil || p.Rewrite || p.Replica.Size != p.Source.Size || p.Replica.Mtime != p.Source.Mtime) {
			bytes += p.Source.Size
		}
		if (i+1 >= limits.Writes || bytes >= limits.Bytes) && i+1 < len(g.pairs) && g.pairs[i+1].Path != p.Path && p.Path != "." {
			g.pairs = g.pairs[:i+1]
			return p.Path
		}
	}
	return ""
}

func isFile(e *change.Entry) bool { return e != nil && e.Kind == change.File }

// contentDiffers says whether a file has another content on the replica although size and time are the same and nothing has happened to it since:
// a disk that lies, or an edit that hid.
func (c *Comparison) contentDiffers(g *far, o listed, f stream.Found) bool {
	if !isFile(o.entry) || !isFile(f.Entry) || change.ContentDiffers(o.entry, f.Entry, g.fidelity) {
		return false
	}
	same, err := sameSum(g.share, f)
	if err != nil || same {
		return false
	}
	now, err := g.share.Lstat(o.path)
	if err != nil || !isFile(now) || now.Ctime != o.entry.Ctime || now.Ino != o.entry.Ino {
		return false
	}
	g.journal.distrust(o.path)
	if len(c.Differed) < maxDiffered {
		c.Differed = append(c.Differed, o.path)
	} else if len(c.Differed) == maxDiffered {
		c.Differed = append(c.Differed, "...")
	}
	return true
}
