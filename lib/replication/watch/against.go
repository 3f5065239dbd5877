package watch

import (
	"fmt"
	"slices"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Comparison is the paper's comparison of a share with another directory.
type Comparison struct {
	Share, Against *tree.Root
	Fidelity       change.Fidelity
	Checksum       bool // read files that look the same
}

// Changes answers what a reported change means: the classified changes at that path, or below it for a rescan. A barrier is passed on.
func (c Comparison) Changes(reported change.Change, emit func(change.Change) error) error {
	switch reported.Kind {
	case change.Barrier:
		return emit(reported)
	case change.Rescan:
		return c.Diff(reported.Path, emit)
	}
	share, err := c.Share.Lstat(reported.Path)
	if err != nil {
		return err
	}
	against, err := c.Against.Lstat(reported.Path)
	if err != nil {
		return err
	}
	// An event for a file that looks the same may be a second edit within one tick of the clock.
	kind, err := c.compare(reported.Path, share, against, true)
	if err != nil || kind == change.Same {
		return err
	}
	if kind == change.Delete && against.Kind == change.Directory {
		if err := c.deletes(reported.Path, emit); err != nil {
			return err
		}
	}
	return emit(change.Change{Kind: kind, Path: reported.Path})
}

// Diff emits everything that differs at dir and below: what the share has in order, parents first, and then what only the other side
// has, parents last. It emits no delete when it could not list all of the share.
func (c Comparison) Diff(dir string, emit func(change.Change) error) error {
	var deletes []string
	share, err := c.Share.Lstat(dir)
	if err != nil {
		return err
	}
	against, err := c.Against.Lstat(dir)
	if err != nil {
		return err
	}
	if err := c.diff(dir, share, against, emit, &deletes); err != nil {
		return err
	}
	slices.Reverse(deletes)
	for _, path := range deletes {
		if err := emit(change.Change{Kind: change.Delete, Path: path}); err != nil {
			return err
		}
	}
	return nil
}

func (c Comparison) diff(path string, share, against *change.Entry, emit func(change.Change) error, deletes *[]string) error {
	kind, err := c.compare(path, share, against, c.Checksum)
	if err != nil {
		return err
	}
	switch kind {
	case change.Same:
	case change.Delete:
		*deletes = append(*deletes, path)
	default:
		if err := emit(change.Change{Kind: kind, Path: path}); err != nil {
			return err
		}
	}
	ours, err := names(c.Share, path, share)
	if err != nil {
		return fmt.Errorf("list the share: %w", err)
	}
	theirs, err := names(c.Against, path, against)
	if err != nil {
		return err
	}
	all := append(ours, theirs...)
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		below := change.Join(path, name)
		s, err := c.Share.Lstat(below)
		if err != nil {
			return err
		}
		a, err := c.Against.Lstat(below)
		if err != nil {
			return err
		}
		if err := c.diff(below, s, a, emit, deletes); err != nil {
			return err
		}
	}
	return nil
}

func names(root *tree.Root, path string, e *change.Entry) ([]string, error) {
	if e == nil || e.Kind != change.Directory {
		return nil, nil
	}
	d, err := root.Dir(path)
	if tree.Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.List()
	return slices.DeleteFunc(all, func(n string) bool { return change.Own(path, n) }), err
}

func (c Comparison) compare(path string, share, against *change.Entry, read bool) (change.Kind, error) {
	kind := change.Compare(share, against, c.Fidelity)
	if kind != change.Same || !read || share == nil || share.Kind != change.File {
		return kind, nil
	}
	same, err := tree.SameContent(c.Share, c.Against, path)
	if tree.Absent(err) {
		return change.Same, nil // an event will tell
	}
	if err != nil || same {
		return change.Same, err
	}
	return change.Overwrite, nil
}

func (c Comparison) deletes(path string, emit func(change.Change) error) error {
	below, err := names(c.Against, path, &change.Entry{Kind: change.Directory})
	if err != nil {
		return err
	}
	slices.Sort(below)
	slices.Reverse(below)
	for _, name := range below {
		p := change.Join(path, name)
		e, err := c.Against.Lstat(p)
		if err != nil {
			return err
		}
		if e != nil && e.Kind == change.Directory {
			if err := c.deletes(p, emit); err != nil {
				return err
			}
		}
		if err := emit(change.Change{Kind: change.Delete, Path: p}); err != nil {
			return err
		}
	}
	return nil
}
