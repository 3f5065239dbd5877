package watch

import (
	"golang.org/x/sys/unix"

	"hafs/lib/change"
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
	fd, err := d.open(d.top)
	if err != nil {
		return err
	}
	if fd < 0 {
		return ErrGone
	}
	defer unix.Close(fd)
	if err := w.visit(d.top, fd); err != nil {
		return err
	}
	return d.relist()
}

func (w *walk) visit(n *node, fd int) error {
	path, placed := w.path(n)
	if !placed {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil { // before the listing: what comes later has an event of its own
		return err
	}
	below, err := w.list(fd)
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
	if err != nil || fd < 0 { // gone this moment, which is an event
		return err
	}
	defer unix.Close(fd)
	return w.visit(c, fd)
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
