package watch

import (
	"fmt"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// directories keeps the tree of watches in line with the share.
//
// It never believes an event's story, only its place: it looks what has the name now. A directory is known by its watch, which stays
// with it wherever it moves. So a rename moves one node and reads nothing, and it does not matter how old an event is, in which
// order looks and renames fall, or whether events were lost in between.
type directories struct {
	*nodes
	root   *tree.Root
	kernel Kernel
	report func(change.Change)
	turn   func() // called at every directory that is read

	buffer []byte
	log    []byte // the files of the directory that was listed last, as a roster keeps them
	// unsure have to be listed again: something happened in them while their path did not lead to them.
	unsure map[*node]struct{}
	// came are, during a walk after lost events, the known directories that were found in another place and that the walk has not been in since.
	came map[*node]struct{}
	// dying are watches that were taken away, until the kernel says that no more events of them are on their way: their numbers may be given out again.
	dying map[int32]int
	// skips are directories that cannot be watched, each true unless it is being tried again; tell, when set, is told of each once.
	skips map[skipped]bool
	tell  func(path string, why error)
}

func newDirectories(root *tree.Root, kernel Kernel, report func(change.Change), turn func()) *directories {
	return &directories{
		nodes: newNodes(), root: root, kernel: kernel, report: report, turn: turn,
		buffer: make([]byte, 64<<10), unsure: map[*node]struct{}{}, dying: map[int32]int{}, skips: map[skipped]bool{},
	}
}

// build watches everything there is.
func (d *directories) build() error {
	fd, err := openDirectory(d.root.Descriptor(), ".")
	if err != nil {
		return err
	}
	if fd < 0 {
		return fmt.Errorf("%w: it vanished while it was being watched", ErrGone)
	}
	defer unix.Close(fd)
	wd, err := d.watch(fd, true)
	if err != nil {
		return err
	}
	d.top = d.add(wd)
	delete(d.loose, d.top)
	return d.fill(d.top, fd)
}

// of is the node an event is about; nil if there is none any more.
func (d *directories) of(e event) *node {
	if d.dying[e.wd] > 0 {
		if e.has(unix.IN_IGNORED) {
			if d.dying[e.wd]--; d.dying[e.wd] == 0 {
				delete(d.dying, e.wd)
			}
		}
		return nil
	}
	return d.known[e.wd]
}

func (d *directories) unwatch(wd int32) {
	if d.kernel.Unwatch(wd) {
		d.dying[wd]++
	}
}

func (d *directories) watch(fd int, top bool) (int32, error) {
	wd, err := d.kernel.Watch(fd, top)
	if err == unix.ENOSPC {
		return 0, d.watchesLimit()
	}
	return wd, err
}

// open opens a node's directory; -1 if its path does not lead to it at the moment: events about that are on their way, and when they
// have come its directories are listed again.
func (d *directories) open(n *node) (int, error) {
	path, placed := d.path(n)
	if !placed {
		d.unsure[n] = struct{}{}
		return -1, nil
	}
	fd, err := openDirectory(d.root.Descriptor(), path)
	if costsOne(err) && n != d.top {
		d.skip(n.parent, n.name, err)
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	if fd < 0 {
		d.unsure[n] = struct{}{}
		return -1, nil
	}
	wd, err := d.watch(fd, n == d.top)
	if err != nil {
		unix.Close(fd)
		if tree.Absent(err) {
			d.unsure[n] = struct{}{}
			return -1, nil
		}
		if costsOne(err) && n != d.top {
			d.skip(n.parent, n.name, err)
			return -1, nil
		}
		return -1, err
	}
	if wd == n.wd {
		return fd, nil
	}
	unix.Close(fd)
	if d.known[wd] == nil { // a stranger, whose own events will come
		d.unwatch(wd)
	}
	d.unsure[n] = struct{}{}
	return -1, nil
}

// place brings the tree in line with what has a name in a directory now.
func (d *directories) place(parent *node, name string) error {
	fd, err := d.open(parent)
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	_, err = d.placeAt(fd, parent, name, true)
	return err
}

// leave takes a directory's place away. It says so itself: the event that says so may yet be lost, and then nobody would know of it any more.
func (d *directories) leave(n *node) {
	if path, placed := d.path(n); placed {
		d.report(change.Change{Kind: change.Look, Path: path})
	}
	d.loosen(n)
}

// placeAt is place in a directory that is open. fresh: a directory is there that was not watched before. aloud: say that all below a
// directory that has come here must be compared.
func (d *directories) placeAt(dir int, parent *node, name string, aloud bool) (fresh bool, err error) {
	if parent == d.top && name == change.Trash {
		return false, nil
	}
	fd, err := openDirectory(dir, name)
	if costsOne(err) {
		d.skip(parent, name, err)
		fd, err = -1, nil
	}
	if err != nil {
		return false, err
	}
	had := parent.child(name)
	wd := int32(-1)
	if fd >= 0 {
		defer unix.Close(fd)
		// Watched first and listed then: what appears in between is seen twice rather than never.
		wd, err = d.watch(fd, false)
		if costsOne(err) && !tree.Absent(err) {
			d.skip(parent, name, err)
		} else if err != nil && !tree.Absent(err) {
			return false, err
		}
	}
	if fd < 0 || err != nil {
		if had != nil {
			d.leave(had)
		}
		return false, nil
	}
	n := d.known[wd]
	if n == d.top || n != nil && n == parent { // a mount of the share inside itself
		return false, nil
	}
	if n != nil && n == had {
		return false, nil
	}
	if had != nil {
		d.leave(had)
	}
	if n != nil {
		d.leave(n)
	}
	if fresh = n == nil; fresh {
		n = d.add(wd)
	} else if d.came != nil {
		d.came[n] = struct{}{}
	}
	if err := d.remember(dir, parent); err != nil {
		return false, err
	}
	d.move(n, parent, name)
	if fresh {
		err = d.fill(n, fd)
	}
	if err == nil && aloud {
		err = d.relist()
	}
	if path, placed := d.path(n); placed && aloud && err == nil { // only now that all of it is watched
		d.report(change.Change{Kind: change.Rescan, Path: path})
	}
	return fresh, err
}
