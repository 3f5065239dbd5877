package watch

import "golang.org/x/sys/unix"

// list lists a directory that was just opened; its files are in d.log until the next one is listed.
func (d *directories) list(fd int) ([]string, error) {
	d.turn()
	d.log = d.log[:0]
	return list(fd, d.buffer, func(name []byte) { d.log = append(append(append(d.log, '+'), name...), 0) })
}

func (d *directories) listed(from int64) *roster {
	return &roster{log: append(make([]byte, 0, len(d.log)), d.log...), clean: len(d.log), from: from}
}

// fill watches everything below a directory that is new.
func (d *directories) fill(n *node, fd int) error {
	below, err := d.list(fd)
	if costsOne(err) && n != d.top {
		d.unlisted(n, err)
		return nil
	}
	if err != nil {
		return err
	}
	if len(below) > 0 {
		n.files = d.listed(0)
	}
	for _, name := range below {
		if _, err := d.placeAt(fd, n, name, false); err != nil {
			return err
		}
	}
	return nil
}

// unlisted leaves out what is below a directory that cannot be listed, until it can be.
func (d *directories) unlisted(n *node, why error) {
	d.unsure[n] = struct{}{}
	d.skip(n.parent, n.name, why)
}

// remember lists the files of a directory that had no directories until now.
func (d *directories) remember(dir int, n *node) error {
	if n.files != nil {
		return nil
	}
	from := now().Wall
	fd, err := openDirectory(dir, ".")
	if costsOne(err) { // it stays unknown
		return nil
	}
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	if _, err := d.list(fd); costsOne(err) {
		return nil
	} else if err != nil {
		return err
	}
	n.files = d.listed(from)
	return nil
}

// relist lists again, as far as they are found now, the directories in which something happened while their path did not lead to them.
func (d *directories) relist() error {
	waiting := d.unsure
	if len(waiting) == 0 {
		return nil
	}
	d.unsure = map[*node]struct{}{}
	for n := range waiting {
		if !d.alive(n) {
			continue
		}
		fd, err := d.open(n) // keeps it if it is still not found
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		below, err := d.list(fd)
		if err == nil {
			_, err = d.reconcile(n, fd, below)
		}
		unix.Close(fd)
		if costsOne(err) && n != d.top {
			d.unlisted(n, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// reconcile brings the directories in an opened directory in line with a listing of it, and says which are new.
func (d *directories) reconcile(n *node, fd int, below []string) (fresh map[*node]bool, err error) {
	there := make(map[string]bool, len(below))
	for _, name := range below {
		there[name] = true
		isNew, err := d.placeAt(fd, n, name, true)
		if err != nil {
			return nil, err
		}
		if isNew {
			if fresh == nil {
				fresh = map[*node]bool{}
			}
			fresh[n.child(name)] = true
		}
	}
	for i := len(n.children) - 1; i >= 0; i-- {
		if c := n.children[i]; !there[c.name] {
			d.leave(c)
		}
	}
	return fresh, nil
}
