package watch

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// handle reports what an event may mean, and watches what is new.
func (w *Watcher) handle(dirs *directories, e event) error {
	n := dirs.of(e)
	if n == nil {
		return nil
	}
	dir, placed := dirs.path(n)
	if w.Raw != nil {
		w.Raw(e.describe(filepath.Join(w.Share, dir, e.name)))
	}
	if n == dirs.top && e.has(unix.IN_MOVE_SELF|unix.IN_DELETE_SELF|unix.IN_UNMOUNT|unix.IN_IGNORED) {
		return fmt.Errorf("%w: %s was moved or deleted", ErrGone, w.Share)
	}
	if e.has(unix.IN_IGNORED) {
		dirs.leave(n)
		dirs.gone(n)
		return nil
	}
	if e.name == "" { // of the directory itself; the one above it has the same event, with its name
		if n == dirs.top && !e.has(unix.IN_UNMOUNT) {
			w.add(change.Change{Kind: change.Look, Path: "."})
		}
		return nil
	}
	if n == dirs.top && w.cookie(e) || change.Temporary(e.name) {
		return nil
	}
	path := change.Join(dir, e.name)
	if placed && (e.appears() || e.vanishes() || !w.nameless(path)) {
		w.add(change.Change{Kind: change.Look, Path: path})
	}
	if !e.appears() && !e.vanishes() {
		return nil
	}
	if e.has(unix.IN_ISDIR) {
		return w.place(dirs, n, e)
	}
	if n.files != nil {
		if e.appears() {
			n.files.had(e.name)
		} else {
			n.files.lost(e.name)
		}
	}
	return nil
}

// place brings the tree in line with an event of a directory. One that left and came back to the same name before anybody looked is told as if it
// had come from elsewhere: who was told of its leaving may have taken it away. What was made in it before could not be looked at while it was away.
func (w *Watcher) place(dirs *directories, parent *node, e event) error {
	had := parent.child(e.name)
	if err := dirs.place(parent, e.name); err != nil {
		return err
	}
	if had == nil || had != parent.child(e.name) || !e.has(unix.IN_MOVED_TO) {
		return nil
	}
	if err := dirs.relist(); err != nil {
		return err
	}
	if path, placed := dirs.path(had); placed {
		w.add(change.Change{Kind: change.Rescan, Path: path})
	}
	return nil
}

// cookie takes the events of a barrier's mark.
func (w *Watcher) cookie(e event) bool {
	id, isCookie := strings.CutPrefix(e.name, change.CookiePrefix)
	if !isCookie || change.CheckID(id) != nil {
		return false
	}
	switch {
	case e.appears():
		w.add(change.Change{Kind: change.Barrier, Path: id})
	case e.vanishes(): // taking it away changed the time of the share itself
		w.add(change.Change{Kind: change.Look, Path: "."})
	}
	return true
}

// nameless says whether a path is how the kernel calls a file that has no name (O_TMPFILE): "#" and its inode. hafs-linkcheck writes one every second.
// When such a file gets a name, that is an event of its own.
func (w *Watcher) nameless(path string) bool {
	_, name := change.Split(path)
	digits, marked := strings.CutPrefix(name, "#")
	if !marked || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	e, err := w.Root.Lstat(path)
	return e == nil && err == nil
}

// cookies are the barriers whose marks are there. Their events may have been lost, or may come yet.
func (w *Watcher) cookies() (barriers []change.Change) {
	d, err := w.Root.Dir(".")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.List()
	for _, name := range names {
		if id, isCookie := strings.CutPrefix(name, change.CookiePrefix); isCookie && change.CheckID(id) == nil {
			barriers = append(barriers, change.Change{Kind: change.Barrier, Path: id})
		}
	}
	return barriers
}
