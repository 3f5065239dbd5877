package watch

import (
	"cmp"
	"slices"
	"strings"
)

// node is a watched directory. It knows its own name only: when a directory moves, nothing below it has to be told.
type node struct {
	parent   *node // nil: the share itself, or a directory nobody knows the place of
	name     string
	children []*node // by name
	files    *roster // nil: not known
	wd       int32
}

// nodes is the tree of watched directories. It is pure.
//
// A node without a place ("loose") is a directory that left its name and may appear under another one; so are those below it.
type nodes struct {
	top   *node
	known map[int32]*node // by watch; a node that is not in it any more is dead
	loose map[*node]bool  // true: since before the last sweep
}

func newNodes() *nodes { return &nodes{known: map[int32]*node{}, loose: map[*node]bool{}} }

// path is where a node is below the share; false if it is loose, or below one that is.
func (t *nodes) path(n *node) (string, bool) {
	if n == t.top {
		return ".", true
	}
	var parts []string
	for ; n != t.top; n = n.parent {
		if n == nil {
			return "", false
		}
		parts = append(parts, n.name)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/"), true
}

func (n *node) find(name string) (int, bool) {
	return slices.BinarySearchFunc(n.children, name, func(c *node, name string) int { return cmp.Compare(c.name, name) })
}

func (n *node) child(name string) *node {
	if i, found := n.find(name); found {
		return n.children[i]
	}
	return nil
}

// within says whether n is dir or lies below it.
func (n *node) within(dir *node) bool {
	for ; n != nil; n = n.parent {
		if n == dir {
			return true
		}
	}
	return false
}

// alive says whether the kernel still watches for the node, as far as we know.
func (t *nodes) alive(n *node) bool { return t.known[n.wd] == n }

// add makes a node without a place.
func (t *nodes) add(wd int32) *node {
	n := &node{wd: wd}
	t.known[wd] = n
	t.loose[n] = false
	return n
}

// move gives a node, with all below it, another place. What had that place loses it.
func (t *nodes) move(n, parent *node, name string) {
	if parent.within(n) { // what we know is older than what we see: a directory above the new place has moved as well
		branch := parent
		for branch.parent != n && branch != n {
			branch = branch.parent
		}
		if branch == n { // no directory is in itself
			return
		}
		t.loosen(branch)
	}
	t.loosen(n)
	i, taken := parent.find(name)
	if taken {
		t.loosen(parent.children[i])
	}
	n.parent, n.name = parent, name
	parent.children = slices.Insert(parent.children, i, n)
	delete(t.loose, n)
}

// loosen takes a node's place away.
func (t *nodes) loosen(n *node) {
	if n.parent == nil {
		return
	}
	if i, found := n.parent.find(n.name); found && n.parent.children[i] == n {
		n.parent.children = slices.Delete(n.parent.children, i, i+1)
		if len(n.parent.children) == 0 {
			n.parent.children = nil
		}
	}
	n.parent, n.name = nil, ""
	t.loose[n] = false
}

// gone forgets a directory the kernel watches no more. What was below it is loose: it is deleted too, or moved away.
func (t *nodes) gone(n *node) {
	for len(n.children) > 0 {
		t.loosen(n.children[len(n.children)-1])
	}
	t.loosen(n)
	delete(t.loose, n)
	delete(t.known, n.wd)
}

// drop forgets a node and all below it, and calls unwatch for each.
func (t *nodes) drop(n *node, unwatch func(wd int32)) {
	t.loosen(n)
	delete(t.loose, n)
	t.forget(n, unwatch)
}

func (t *nodes) forget(n *node, unwatch func(wd int32)) {
	for _, c := range n.children {
		t.forget(c, unwatch)
	}
	delete(t.known, n.wd)
	unwatch(n.wd)
}

// sweep drops what was loose already at the last sweep: the two events of a rename follow each other at once.
func (t *nodes) sweep(unwatch func(wd int32)) {
	for n, before := range t.loose {
		if before {
			t.drop(n, unwatch)
		} else {
			t.loose[n] = true
		}
	}
}
