package exercise

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func chmod(dir string) error {
	return steps(dir,
		func(dir string) error {
			return all(put(dir, "file", "x"), put(dir, "program", "#!/bin/true\n"), os.Mkdir(filepath.Join(dir, "folder"), 0o755))
		},
		func(dir string) error {
			return all(os.Chmod(filepath.Join(dir, "file"), 0o600), os.Chmod(filepath.Join(dir, "program"), 0o4755), os.Chmod(filepath.Join(dir, "folder"), 0o1770))
		},
	)
}

func chown(dir string) error {
	return steps(dir,
		func(dir string) error {
			return all(put(dir, "file", "x"), put(dir, "group", "x"), os.Mkdir(filepath.Join(dir, "folder"), 0o755))
		},
		func(dir string) error {
			return all(os.Chown(filepath.Join(dir, "file"), 1234, 4321), os.Chown(filepath.Join(dir, "group"), -1, 50), os.Chown(filepath.Join(dir, "folder"), 33, 33))
		},
	)
}

func symlinks(dir string) error {
	link := func(target, name string) error {
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			return err
		}
		read, err := os.Readlink(path) // a client may be able to make a link and not to read it
		if err == nil && read != target {
			err = fmt.Errorf("%s leads to %q, not to %q", path, read, target)
		}
		return err
	}
	follow := func(name string) error {
		_, err := os.Stat(filepath.Join(dir, name))
		return err
	}
	return steps(dir,
		func(dir string) error {
			return all(put(dir, "file", "x"), os.Mkdir(filepath.Join(dir, "folder"), 0o755), put(dir, "folder/inside", "y"),
				link("file", "relative"), link("/etc/hostname", "absolute"), link("nowhere/at/all", "dangling"), link("folder", "to-folder"),
				link("../../outside", "outside"), put(dir, "becomes-link", "z"), link("file", "becomes-file"),
				link("../file", "folder/up"), follow("relative"), follow("absolute"), follow("folder/up"))
		},
		func(dir string) error {
			return all(os.Remove(filepath.Join(dir, "becomes-link")), link("folder", "becomes-link"),
				os.Remove(filepath.Join(dir, "becomes-file")), put(dir, "becomes-file", "now a file\n"),
				os.Remove(filepath.Join(dir, "relative")), link("folder/inside", "relative"))
		},
	)
}

func hardLinks(dir string) error {
	link := func(from, to string) error { return os.Link(filepath.Join(dir, from), filepath.Join(dir, to)) }
	return steps(dir,
		func(dir string) error {
			return all(put(dir, "one", "shared\n"), os.Mkdir(filepath.Join(dir, "folder"), 0o755), link("one", "two"), link("one", "folder/three"))
		},
		func(dir string) error { return put(dir, "two", "changed through the second name\n") },
		func(dir string) error { return os.Remove(filepath.Join(dir, "one")) },
	)
}

// rotation is what rsnapshot does: the oldest backup goes, each gets the name of the next older one, the newest is copied by links, and what has changed
// since is put into its place under a new inode.
func rotation(dir string) error {
	in := func(backup string, file int) string { return filepath.Join(dir, backup, fmt.Sprint(file)) }
	each := func(every int, do func(file int) error) error {
		for file := 0; file < 300; file += every {
			if err := do(file); err != nil {
				return err
			}
		}
		return nil
	}
	copyLinks := func(from, to string) error {
		return all(os.Mkdir(filepath.Join(dir, to), 0o755), each(1, func(file int) error { return os.Link(in(from, file), in(to, file)) }))
	}
	rename := func(from, to string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	return steps(dir,
		func(dir string) error {
			return all(os.Mkdir(filepath.Join(dir, "0"), 0o755), each(1, func(file int) error { return put(dir, fmt.Sprint("0/", file), fmt.Sprintln(file)) }),
				copyLinks("0", "1"), copyLinks("0", "2"), copyLinks("0", "3"))
		},
		func(dir string) error {
			return all(os.RemoveAll(filepath.Join(dir, "3")), rename("2", "3"), rename("1", "2"), copyLinks("0", "1"),
				each(10, func(file int) error {
					time.Sleep(5 * time.Millisecond) // so that names are looked at in between
					return all(put(dir, "0/new", "changed\n"), os.Rename(filepath.Join(dir, "0/new"), in("0", file)))
				}))
		},
	)
}

func kinds(dir string) error {
	return steps(dir,
		func(dir string) error { return all(put(dir, "file-first", "x"), tree(dir, "folder-first")) },
		func(dir string) error {
			return all(os.Remove(filepath.Join(dir, "file-first")), tree(dir, "file-first"),
				os.RemoveAll(filepath.Join(dir, "folder-first")), put(dir, "folder-first", "a file now\n"))
		},
	)
}
