package mirror

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hafs/lib/replication/change"
)

// Pair is what the share and one replica have at a path; nil is nothing.
type Pair struct {
	Path    string
	Source  *change.Entry
	Replica *change.Entry
	// Rewrite says that the content is known to differ although size and time do not, or that it must be taken for different.
	Rewrite bool
	Weight  int // files that go with a delete, as far as they are known
}

// Op is what a step does to the replica. Steps are carried out in the order of their ops; steps with the same op only depend on each
// other in that directories higher up are made first and finished last.
type Op int

const (
	MakeDirectory Op = iota // in the place of whatever had the name
	Write                   // a whole file: content, owner, mode, time
	MakeSymlink
	SetAttributes
	Link   // another name for From, which a Write before may have made
	Delete // a file, or a directory with all that is in it
	Finish // owner, mode and time of a directory, after everything in it was done
)

var opNames = [...]string{"mkdir", "write", "symlink", "attributes", "link", "delete", "finish"}

func (o Op) String() string { return opNames[o] }

// Step is one thing to be done to a replica.
type Step struct {
	Op      Op
	Path    string
	From    string        // of Link: the path that has the content
	Source  *change.Entry // what the share has; nil for Delete and Finish
	Replica *change.Entry // what had the name; nil: nothing
}

func (s Step) String() string {
	text := s.Op.String() + " " + change.Change{Kind: change.Look, Path: s.Path}.String()[len("look "):]
	if s.Op == Link {
		text += " to " + s.From
	}
	if s.Aside() {
		text += ", replacing a " + string(s.Replica.Kind)
	}
	return text
}

// Aside says whether what has the name must first be moved out of the way: a rename cannot replace a directory.
func (s Step) Aside() bool {
	return s.Replica != nil && s.Source != nil && s.Replica.Kind == change.Directory && s.Source.Kind != change.Directory
}

// Plan lists the steps that make a replica like the share at the paths of the pairs, which it sorts. Nothing is deleted from directories in
// incomplete, where the share could not be read. All names of a file with several must be among the pairs.
func Plan(pairs []Pair, f change.Fidelity, incomplete map[string]bool) []Step {
	slices.SortStableFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Path, b.Path) })
	pairs = merge(pairs)
	p := planner{fidelity: f, touched: map[string]bool{}, gone: map[string]bool{}}
	linked := groups{}
	for _, pair := range pairs {
		if p.below(pair.Path) {
			continue
		}
		if pair.Source == nil && incomplete[parent(pair.Path)] {
			continue
		}
		if pair.Source != nil && pair.Source.Kind == change.File && pair.Source.Nlink > 1 {
			linked.add(pair)
			continue
		}
		p.single(pair)
	}
	for _, group := range linked.inOrder() {
		p.linked(group)
	}
	p.finish()
	slices.SortStableFunc(p.steps, order)
	return p.steps
}

// merge leaves one of several pairs of a path, the last one.
func merge(pairs []Pair) []Pair {
	var merged []Pair
	for _, p := range pairs {
		if last := len(merged) - 1; last >= 0 && merged[last].Path == p.Path {
			p.Rewrite = p.Rewrite || merged[last].Rewrite
			merged[last] = p
			continue
		}
		merged = append(merged, p)
	}
	return merged
}

func order(a, b Step) int {
	if a.Op != b.Op {
		return cmp.Compare(a.Op, b.Op)
	}
	switch a.Op {
	case MakeDirectory:
		return cmp.Or(cmp.Compare(change.Depth(a.Path), change.Depth(b.Path)), strings.Compare(a.Path, b.Path))
	case Finish:
		return cmp.Or(cmp.Compare(change.Depth(b.Path), change.Depth(a.Path)), strings.Compare(a.Path, b.Path))
	}
	return strings.Compare(a.Path, b.Path)
}

func parent(path string) string {
	dir, _ := change.Split(path)
	return dir
}

type planner struct {
	fidelity change.Fidelity
	steps    []Step
	touched  map[string]bool // directories to be finished
	gone     map[string]bool // directories of the replica that a step takes away as a whole
}

// below says whether a step takes away a directory above the path.
func (p *planner) below(path string) bool {
	for path != "." && len(p.gone) > 0 {
		if path = parent(path); p.gone[path] {
			return true
		}
	}
	return false
}

func (p *planner) add(s Step) {
	p.steps = append(p.steps, s)
	if s.Path != "." {
		p.touched[parent(s.Path)] = true
	}
	if s.Replica != nil && s.Replica.Kind == change.Directory && (s.Op == Delete || s.Aside()) {
		p.gone[s.Path] = true
	}
}

func (p *planner) single(pair Pair) {
	s := Step{Path: pair.Path, Source: pair.Source, Replica: pair.Replica}
	kind := change.Compare(pair.Source, pair.Replica, p.fidelity)
	rewrite := p.rewrite(pair)
	if kind == change.Same && rewrite {
		kind = change.Overwrite
	}
	switch {
	case kind == change.Same:
		return
	case kind == change.Delete:
		s.Op, s.Source = Delete, nil
	case pair.Source.Kind == change.Directory:
		p.touched[pair.Path] = true
		if kind == change.Overwrite && pair.Replica.Kind == change.Directory {
			return // only its attributes differ
		}
		s.Op = MakeDirectory
	case kind == change.Create, rewrite, pair.Source.Kind != pair.Replica.Kind, change.ContentDiffers(pair.Source, pair.Replica, p.fidelity):
		s.Op = Write
		if pair.Source.Kind == change.Symlink {
			s.Op = MakeSymlink
		}
	default:
		s.Op = SetAttributes
	}
	p.add(s)
}

// rewrite says whether a file must be written whatever its size and time. That is also so when the replica has more names for it than the
// share: changing one would change a file that is another one in the share.
func (p *planner) rewrite(pair Pair) bool {
	if pair.Source == nil || pair.Replica == nil || pair.Source.Kind != change.File || pair.Replica.Kind != change.File {
		return false
	}
	return pair.Rewrite || !p.fidelity.UnknownIdentity && pair.Replica.Nlink > pair.Source.Nlink
}

// linked makes a file that has several names one file on the replica too. The name that needs least becomes the one the others link to.
func (p *planner) linked(group []Pair) {
	if slices.ContainsFunc(group, func(pair Pair) bool { return pair.Rewrite }) { // what is known of one name is so for all
		for i := range group {
			group[i].Rewrite = true
		}
	}
	leader := group[0]
	for _, pair := range group[1:] {
		if p.cost(pair) < p.cost(leader) {
			leader = pair
		}
	}
	before := len(p.steps)
	p.single(leader)
	rewritten := len(p.steps) > before && p.steps[before].Op == Write
	for _, pair := range group {
		if pair.Path == leader.Path {
			continue
		}
		if !rewritten && sameFile(leader.Replica, pair.Replica) {
			continue
		}
		p.add(Step{Op: Link, Path: pair.Path, From: leader.Path, Source: pair.Source, Replica: pair.Replica})
	}
}

// cost orders names: those that have everything, those that need attributes, those that must be written, of which a version is there or not.
func (p *planner) cost(pair Pair) int {
	switch {
	case pair.Replica == nil || pair.Replica.Kind != change.File:
		return 3
	case p.rewrite(pair) || change.ContentDiffers(pair.Source, pair.Replica, p.fidelity):
		return 2
	case change.AttributesDiffer(pair.Source, pair.Replica, p.fidelity):
		return 1
	}
	return 0
}

func sameFile(a, b *change.Entry) bool {
	return a != nil && b != nil && a.Kind == change.File && b.Kind == change.File && a.Ino != 0 && a.Ino == b.Ino && a.Dev == b.Dev
}

func (p *planner) finish() {
	for path := range p.touched {
		if !p.gone[path] && !p.below(path) {
			p.steps = append(p.steps, Step{Op: Finish, Path: path})
		}
	}
}

// groups gathers the names of each inode.
type groups map[fileID][]Pair

type fileID struct{ dev, ino uint64 }

func (g groups) add(p Pair) {
	id := identity(p.Source)
	g[id] = append(g[id], p)
}

func (g groups) inOrder() [][]Pair {
	all := make([][]Pair, 0, len(g))
	for _, group := range g {
		all = append(all, group)
	}
	slices.SortFunc(all, func(a, b []Pair) int { return strings.Compare(a[0].Path, b[0].Path) })
	return all
}

// Refusal is a reason not to touch a replica.
type Refusal struct{ Reason string }

func (r Refusal) Error() string { return r.Reason }

// CheckMarkers decides whether a directory may be made like the share: both must have the marker, and the same one. Nil is no marker: an
// absent mount, an emptied disk, or not a share at all. unmarked allows two directories that both have none.
func CheckMarkers(share, replica []byte, unmarked bool) error {
	switch {
	case share == nil && replica == nil && unmarked:
		return nil
	case share == nil:
		return Refusal{fmt.Sprintf("the share has no marker %s: it is not mounted, or it is no share", change.Marker)}
	case replica == nil:
		return Refusal{fmt.Sprintf("the replica has no marker %s: it is not mounted, or it was never prepared", change.Marker)}
	case string(share) != string(replica):
		return Refusal{fmt.Sprintf("the replica's marker says %q, the share's %q", replica, share)}
	}
	return nil
}
