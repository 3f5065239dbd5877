package watch

import (
	"errors"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
)

// skipped is a directory that cannot be watched: one that something is mounted on, that nobody but a user may read, or whose disk fails. That costs what is
// below it and nothing else. It is tried again, as no event tells that it has become readable.
type skipped struct {
	parent *node
	name   string
}

// maxRetries is how many of the skipped directories are tried again at once.
const maxRetries = 64

// costsOne says whether an error of opening, listing or watching a directory is one of that directory alone.
func costsOne(err error) bool {
	for _, all := range []error{ErrLimit, ErrGone, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSPC, unix.EBADF} {
		if errors.Is(err, all) {
			return false
		}
	}
	return err != nil
}

// skip leaves a directory out for now, and says so once as long as it stays so.
func (d *directories) skip(parent *node, name string, why error) {
	key := skipped{parent, name}
	if parent == nil {
		return
	}
	_, told := d.skips[key]
	d.skips[key] = true
	if path, placed := d.path(parent); placed && !told && d.tell != nil {
		d.tell(change.Join(path, name), why)
	}
}

// retry watches what was skipped and can be watched now.
func (d *directories) retry() error {
	var tried []skipped
	for key := range d.skips {
		if len(tried) == maxRetries {
			break
		}
		if !d.alive(key.parent) {
			delete(d.skips, key)
			continue
		}
		tried = append(tried, key)
		d.skips[key] = false
		if err := d.place(key.parent, key.name); err != nil {
			return err
		}
	}
	if len(tried) == 0 {
		return nil
	}
	if err := d.relist(); err != nil {
		return err
	}
	for _, key := range tried {
		if !d.skips[key] {
			delete(d.skips, key)
		}
	}
	return nil
}
