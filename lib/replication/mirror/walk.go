package mirror

import (
	"time"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// walk reads the whole share for what rsync does not tell: which files have several names, and which may have been edited twice within one
// second, the grain of the times a DRS1 gets.
func (r *Rsync) walk() ([]string, error) {
	r.index = newJournal()
	var files []racy
	if err := r.visit(".", &files); err != nil {
		return nil, err
	}
	return suspects(files, time.Now()), nil
}

func (r *Rsync) visit(dir string, files *[]racy) error {
	d, err := r.Share.Dir(dir)
	if tree.Absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		e, err := d.Lstat(name)
		if err != nil {
			return err
		}
		path := change.Join(dir, name)
		switch {
		case e == nil || change.Temporary(path):
		case e.Kind == change.Directory:
			if err := r.visit(path, files); err != nil {
				return err
			}
		case e.Kind == change.File:
			*files = append(*files, racy{path, e})
			r.index.names.seen(path, e)
		}
	}
	return nil
}

// racyWindow is how long before the newest file of the share a file may have been written and still be suspected of a second edit
// within its second that the mirror did not live to see.
const racyWindow = 10 * time.Second

// suspects picks the files within the window. Times in the future are nobody's last edit.
func suspects(files []racy, now time.Time) []string {
	newest := int64(0)
	for _, f := range files {
		if f.entry.Mtime <= now.UnixNano() {
			newest = max(newest, f.entry.Mtime)
		}
	}
	var paths []string
	for _, f := range files {
		if f.entry.Mtime >= newest-int64(racyWindow) {
			paths = append(paths, f.path)
		}
	}
	return paths
}
