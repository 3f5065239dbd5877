package mirror

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// Difference is one thing in which a replica is not like the share.
type Difference struct {
	Path   string
	Reason string // missing, extra, or what differs
}

func (d Difference) String() string {
	return d.Reason + " " + change.Change{Kind: change.Look, Path: d.Path}.String()[len("look "):]
}

// Verify compares everything, content too, and changes nothing. It does not use what the mirror remembers.
func (d *Directory) Verify(ctx context.Context) ([]Difference, error) {
	d.busy.Lock()
	defer d.busy.Unlock()
	if err := d.check(true); err != nil {
		return nil, err
	}
	v := verification{share: d.Share, replica: d.replica, fidelity: d.fidelity, limit: newLimiter(d.Workers), links: map[fileID][]Pair{}}
	v.same = func(path string) (bool, error) { return tree.SameContent(d.Share, d.replica, path) }
	v.compare(ctx, ".")
	v.limit.wait()
	found, err := v.result(ctx)
	if v.unread > 0 {
		d.Log.Warn().Int("links", v.unread).Msg("targets of symbolic links that lead out of the mount cannot be read through it; sshfs has no_contain_symlinks for that")
	}
	return found, err
}

// result is all that was found, in the order of paths.
func (v *verification) result(ctx context.Context) ([]Difference, error) {
	v.compareLinks()
	slices.SortFunc(v.found, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Reason, b.Reason))
	})
	return v.found, cmp.Or(ctx.Err(), summary(v.problems))
}

// Verify compares everything, by SHA-256 what is in files, and changes nothing. It does not use what the mirror remembers.
func (s *Stream) Verify(ctx context.Context) ([]Difference, error) {
	var found []Difference
	err := s.call(ctx, func(ctx context.Context) error {
		defer s.missed(s.session) // whoever verifies is not who feeds the replica
		if err := s.check(ctx); err != nil {
			return err
		}
		v := verification{share: s.Share, links: map[fileID][]Pair{}}
		pair := func(o listed, f stream.Found) {
			v.same = func(string) (bool, error) { return sameSum(s.Share, f) }
			v.entries(o.path, o.entry, f.Entry)
		}
		top, err := s.session.Look([]string{"."}, false)
		if err != nil {
			return err
		}
		ours, err := s.Share.Lstat(".")
		if err != nil {
			return err
		}
		pair(listed{".", ours}, top[0])
		problem := func(_ string, err error) { v.problem(err) }
		var lost error
		pairUp(walkShare(ctx, s.Share, ".", troubles{problem, problem}), listing(s.session, stream.Listing{Directory: ".", Sums: true}, &lost), pair, problem)
		if lost != nil {
			return lost
		}
		found, err = v.result(ctx)
		return err
	})
	return found, err
}

type verification struct {
	share, replica *tree.Root
	fidelity       change.Fidelity
	limit          *limiter
	same           func(path string) (bool, error) // compares content

	mu       sync.Mutex
	found    []Difference
	unread   int // links whose targets the mount hides
	problems []error
	links    map[fileID][]Pair // by the share's inode
}

func (v *verification) report(path, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.found = append(v.found, Difference{path, reason})
}

func (v *verification) problem(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problems = append(v.problems, err)
}

// compare looks at a path on both sides and at everything below it.
func (v *verification) compare(ctx context.Context, path string) {
	if ctx.Err() != nil {
		return
	}
	share, err := v.share.Lstat(path)
	if err != nil {
		v.problem(err)
		return
	}
	replica, err := v.replica.Lstat(path)
	if err != nil {
		v.problem(err)
		return
	}
	v.entries(path, share, replica)
	if share == nil || replica == nil || share.Kind != change.Directory || replica.Kind != change.Directory {
		return
	}
	var names []string
	for _, root := range []*tree.Root{v.share, v.replica} {
		list, err := listNames(root, path)
		if err != nil {
			v.problem(err)
			return
		}
		list = slices.DeleteFunc(list, func(n string) bool {
			return change.Trashed(path, n) || root == v.share && change.Own(path, n)
		})
		names = append(names, list...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		v.limit.run(func() { v.compare(ctx, change.Join(path, name)) })
	}
}

func listNames(root *tree.Root, path string) ([]string, error) {
	d, err := root.Dir(path)
	if tree.Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.List()
}

func (v *verification) entries(path string, share, replica *change.Entry) {
	switch {
	case share != nil && share.Kind == change.Special:
		if replica != nil && replica.Kind != change.Special {
			v.report(path, "extra")
		}
		return
	case share == nil && replica == nil:
		return
	case replica == nil:
		v.report(path, "missing")
		return
	case share == nil:
		v.report(path, "extra")
		return
	case share.Kind != replica.Kind:
		v.report(path, "kind")
		return
	}
	if share.Kind == change.File && share.Nlink > 1 {
		v.mu.Lock()
		id := identity(share)
		v.links[id] = append(v.links[id], Pair{Path: path, Source: share, Replica: replica})
		v.mu.Unlock()
	}
	if reasons := v.differ(path, share, replica); len(reasons) > 0 {
		v.report(path, strings.Join(reasons, "+"))
	}
}

func (v *verification) differ(path string, share, replica *change.Entry) []string {
	var reasons []string
	if replica.Unknown() {
		v.mu.Lock()
		v.unread++
		v.mu.Unlock()
	}
	if share.Kind == change.Symlink && share.Target != replica.Target && !replica.Unknown() {
		reasons = append(reasons, "target")
	}
	if share.Kind == change.File {
		same, err := share.Size == replica.Size, error(nil)
		if same {
			same, err = v.same(path)
		}
		if err != nil {
			v.problem(err)
		} else if !same {
			reasons = append(reasons, "content")
		}
	}
	// Each attribute alone, against an entry that has all the others right.
	mode, owner, time, xattrs := *share, *share, *share, *share
	mode.Mode, owner.UID, owner.GID, time.Mtime, xattrs.Xattrs = replica.Mode, replica.UID, replica.GID, replica.Mtime, replica.Xattrs
	if change.AttributesDiffer(share, &mode, v.fidelity) {
		reasons = append(reasons, "mode")
	}
	if change.AttributesDiffer(share, &owner, v.fidelity) {
		reasons = append(reasons, "owner")
	}
	if change.AttributesDiffer(share, &time, v.fidelity) {
		reasons = append(reasons, "time")
	}
	if change.AttributesDiffer(share, &xattrs, v.fidelity) || !v.fidelity.NoXattrs && !share.Xattrs.Known() {
		reasons = append(reasons, "xattrs")
	}
	return reasons
}

// compareLinks finds names that are one file in the share and several on a replica whose inodes can be told apart.
func (v *verification) compareLinks() {
	if v.fidelity.UnknownIdentity {
		return
	}
	for _, group := range v.links {
		slices.SortFunc(group, func(a, b Pair) int { return strings.Compare(a.Path, b.Path) })
		for _, p := range group[1:] {
			if !sameFile(group[0].Replica, p.Replica) {
				v.report(p.Path, "link")
			}
		}
	}
}

// verify compares all replicas that streams feed, one after the other, over the sessions that feed them.
func (m *Mirror) verify() Answer {
	a := Answer{Differences: map[string][]Difference{}}
	m.mu.Lock()
	replicas := slices.Clone(m.replicas)
	m.mu.Unlock()
	for _, r := range replicas {
		s, is := r.transport.(*Stream)
		if !is {
			continue
		}
		found, err := s.Verify(m.ctx)
		if err != nil {
			a.Lagging = append(a.Lagging, fmt.Sprintf("%s: %v", r.wanted.Name, err))
			continue
		}
		a.Differences[r.wanted.Name] = found
	}
	a.OK = len(a.Lagging) == 0
	return a
}

// Verify compares everything by a dry run of rsync, content too.
func (r *Rsync) Verify(ctx context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(); err != nil {
		return nil, err
	}
	var lines []string
	dry := &Rsync{Share: r.Share, Target: r.Target, Shell: r.Shell, Program: r.Program, Show: func(line string) { lines = append(lines, line) }}
	err := dry.run(ctx, append(dry.common(), "-c", "--delete", "--delete-excluded", "./", r.Target), nil)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return lines, nil
}
