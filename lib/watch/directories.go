package watch

import (
	"errors"
	"path/filepath"
	"strings"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
)

// directories is the tree of watches: one node for every directory that the kernel watches for us.
//
// A watch belongs to an inode, but its events carry the name it was added under. So when a directory moves, all names below it are
// wrong until the watches there are removed and added again, and one inode must never be watched under two names.
type directories struct {
	share  string // absolute
	root   *tree.Root
	kernel Kernel

	top    *node
	inodes map[inode]string
}

type inode struct{ dev, ino uint64 }

type node struct {
	inode    inode
	children map[string]*node
}

func newDirectories(share string, root *tree.Root, kernel Kernel) *directories {
	return &directories{share: share, root: root, kernel: kernel, inodes: map[inode]string{}}
}

func (d *directories) absolute(path string) string { return filepath.Join(d.share, path) }

// find returns the node of a path, or nil.
func (d *directories) find(path string) *node {
	n := d.top
	if path == "." {
		return n
	}
	for name := range strings.SplitSeq(path, "/") {
		if n == nil {
			return nil
		}
		n = n.children[name]
	}
	return n
}

// changed brings the watches at a path in line with what is there now. moved: what was known under this name is no longer
// to be trusted, even if a directory of this name exists. It says whether a directory is watched there that was not before; what is
// in it, and what the replicas have under its name, is then not known.
func (d *directories) changed(path string, moved bool) (fresh bool, err error) {
	e, err := d.root.Lstat(path)
	if err != nil && !tree.Absent(err) {
		return false, err
	}
	known := d.find(path)
	isDirectory := e != nil && e.Kind == change.Directory
	if known != nil && !moved && isDirectory && known.inode == (inode{e.Dev, e.Ino}) {
		return false, nil
	}
	if known != nil {
		d.drop(path)
	}
	if !isDirectory {
		return false, nil
	}
	return true, d.add(path, e)
}

// add watches a directory, then lists it for directories to watch: what appears in between is seen twice rather than never.
func (d *directories) add(path string, e *change.Entry) error {
	id := inode{e.Dev, e.Ino}
	if old, watched := d.inodes[id]; watched && old != path {
		d.drop(old)
	}
	if err := d.kernel.Add(d.absolute(path)); err != nil {
		if tree.Absent(err) {
			return nil
		}
		return err
	}
	n := &node{inode: id, children: map[string]*node{}}
	if path == "." {
		d.top = n
	} else {
		dir, name := change.Split(path)
		parent := d.find(dir)
		if parent == nil { // its own parent moved meanwhile; events for that are on their way
			d.kernel.Remove(d.absolute(path))
			return nil
		}
		parent.children[name] = n
	}
	d.inodes[id] = path
	return d.list(path)
}

func (d *directories) list(path string) error {
	dir, err := d.root.Dir(path)
	if tree.Absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.List()
	if err != nil && !tree.Absent(err) {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, change.TemporaryPrefix) {
			continue
		}
		below := change.Join(path, name)
		e, err := dir.Lstat(name)
		if err != nil {
			return err
		}
		if e == nil || e.Kind != change.Directory {
			continue
		}
		if known := d.find(below); known != nil && known.inode == (inode{e.Dev, e.Ino}) {
			continue
		}
		if err := d.add(below, e); err != nil {
			return err
		}
	}
	return nil
}

// drop removes the watches of a directory and of all below it.
func (d *directories) drop(path string) {
	n := d.find(path)
	if n == nil {
		return
	}
	d.forget(path, n)
	if path == "." {
		d.top = nil
		return
	}
	dir, name := change.Split(path)
	if parent := d.find(dir); parent != nil {
		delete(parent.children, name)
	}
}

func (d *directories) forget(path string, n *node) {
	for name, child := range n.children {
		d.forget(change.Join(path, name), child)
	}
	d.kernel.Remove(d.absolute(path))
	if d.inodes[n.inode] == path {
		delete(d.inodes, n.inode)
	}
}

// build watches everything there is.
func (d *directories) build() error {
	e, err := d.root.Lstat(".")
	if err != nil {
		return err
	}
	if err := d.add(".", e); err != nil {
		return err
	}
	if d.top == nil {
		return errors.New("the share vanished while it was being watched")
	}
	return nil
}
