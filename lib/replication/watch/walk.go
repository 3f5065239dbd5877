package watch

import (
	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// walk finds what may have changed while events were lost, by the dates that the kernel gives (ctime), which no program can set.
//
// What changed has a new date, whether its content, its mode or its name did. A directory gets one when a name in it comes or goes. What was made
// and deleted again while events were lost is not found; nobody was told of it.
type walk struct {
	*directories
	since int64 // nanoseconds since 1970
	// everything: dates say nothing. The tree is brought in line, and what has changed is left to a rescan of the share.
	everything bool
}

// again goes through the whole share.
func (d *directories) again(since int64, everything bool) error {
	w := &walk{d, since, everything}
	d.came = map[*node]struct{}{d.top: {}}
	defer func() { d.came = nil }()
	for len(d.came) > 0 { // what moved into a directory that is new is not on the way through the others
		for n := range d.came {
			delete(d.came, n)
			if err := w.find(n); err != nil {
				return err
			}
		}
	}
	// What the walk was not in is not known any more, even if it appears next moment.
	for n := range d.loose {
		d.drop(n, d.unwatch)
	}
	return d.relist()
}

func (w *walk) find(n *node) error {
	if !w.alive(n) {
		return nil
	}
	fd, err := w.open(n)
	if err != nil {
		return err
	}
	if fd >= 0 {
		defer unix.Close(fd)
		return w.visit(n, fd)
	}
	if n == w.top {
		return ErrGone
	}
	w.lose(n)
	return nil
}

// lose gives up a directory that moves while the walk goes on.
func (w *walk) lose(n *node) {
	if n.parent != nil {
		w.unsure[n.parent] = struct{}{}
	}
	w.leave(n)
}

func (w *walk) visit(n *node, fd int) error {
	delete(w.came, n)
	path, placed := w.path(n)
	if !placed {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil { // before the listing: what comes later has an event of its own
		return err
	}
	below, err := w.list(fd)
	if costsOne(err) && n != w.top {
		w.unlisted(n, err)
		return nil
	}
	if err != nil {
		return err
	}
	if !w.everything {
		if err := w.files(fd, path); err != nil {
			return err
		}
	}
	var fresh map[*node]bool
	if w.everything || st.Ctim.Nano() >= w.since {
		w.look(path)
		w.vanished(n, path, len(below) > 0)
		if fresh, err = w.reconcile(n, fd, below); err != nil {
			return err
		}
	}
	for _, c := range append([]*node(nil), n.children...) {
		if fresh[c] || c.parent != n {
			continue
		}
		if err := w.child(c, fd); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) child(c *node, dir int) error {
	fd, err := openDirectory(dir, c.name)
	if costsOne(err) { // its directory is listed again after the walk
		fd, err = -1, nil
	}
	if err != nil {
		return err
	}
	if fd < 0 {
		w.lose(c)
		return nil
	}
	defer unix.Close(fd)
	wd, err := w.watch(fd, false)
	if err != nil && !tree.Absent(err) && !costsOne(err) {
		return err
	}
	if err == nil && wd == c.wd {
		return w.visit(c, fd)
	}
	if err == nil && w.known[wd] == nil { // another one in its place, whose event will come
		w.unwatch(wd)
	}
	w.lose(c)
	return nil
}

// files looks at the dates of the files that were just listed.
func (w *walk) files(fd int, path string) error {
	for rest := w.log; len(rest) > 0; {
		name, after := first(rest)
		rest = after
		var st unix.Stat_t
		err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			continue
		}
		if costsOne(err) {
			w.look(change.Join(path, name))
			continue
		}
		if err != nil {
			return err
		}
		if st.Ctim.Nano() >= w.since {
			w.look(change.Join(path, name))
		}
	}
	return nil
}

// vanished reports what is not in a directory any more. Without directories in it, it is compared as a whole: that goes no deeper.
func (w *walk) vanished(n *node, path string, deep bool) {
	before := n.files
	n.files = nil
	if deep || len(n.children) > 0 {
		n.files = w.listed(0)
	}
	switch {
	case w.everything:
	case before == nil || before.from >= w.since:
		w.report(change.Change{Kind: change.Rescan, Path: path})
	default:
		for _, name := range before.missing(w.log) {
			w.look(change.Join(path, name))
		}
	}
}

func (w *walk) look(path string) {
	if !w.everything {
		w.report(change.Change{Kind: change.Look, Path: path})
	}
}
