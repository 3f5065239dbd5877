// Package exercise is what programs do to files, one thing after the other: each exercise leaves a folder in a state that every replica must
// reach too. The exercises know nothing of replication; whoever runs them compares afterwards.
package exercise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Exercise is one thing to be done in a folder that is empty at first.
type Exercise struct {
	Name string
	What string
	Do   func(dir string) error
	// OnFS: only on the file sharing server itself. Elsewhere it would take minutes, or the mount cannot do it.
	OnFS bool
	// Stalled: whatever watches the share is stopped meanwhile, so that the kernel has to drop events.
	Stalled bool
	// Many: it makes 10,000 files. Two processors that are six servers need more than ten seconds to copy them, and to look whether they did.
	Many bool
}

// All lists the exercises in the order in which they are run.
func All() []Exercise {
	return []Exercise{
		{Name: "create", What: "new files, empty, small and large", Do: create},
		{Name: "overwrite", What: "other bytes in place, of the same and of another size", Do: overwrite},
		{Name: "append", What: "more bytes at the end", Do: appendTo},
		{Name: "truncate", What: "fewer bytes, and none", Do: truncate},
		{Name: "delete", What: "files and whole trees are removed", Do: remove},
		{Name: "rename", What: "files and trees get other names, over existing ones too", Do: rename},
		{Name: "chmod", What: "modes change without the bytes", Do: chmod},
		{Name: "chown", What: "owners and groups change without the bytes", Do: chown},
		{Name: "mkdir-deep", What: "a deep path at once, with files at the end", Do: mkdirDeep},
		{Name: "symlinks", What: "links: relative, absolute, dangling, to folders, replaced by files and back", Do: symlinks},
		{Name: "hard-links", What: "several names of one file", Do: hardLinks, OnFS: true},
		{Name: "rotation", What: "backups that share files by hard links, and move up by one", Do: rotation, OnFS: true},
		{Name: "empty-directories", What: "folders without anything", Do: emptyDirectories},
		{Name: "kinds", What: "a file becomes a folder, and a folder a file", Do: kinds},
		{Name: "names", What: "spaces, newlines, quotes, UTF-8 and what is none, 255 bytes", Do: names},
		{Name: "swap", What: "two folders exchange their names, again and again", Do: swap},
		{Name: "growing", What: "a file that is written while it is copied", Do: growing},
		{Name: "temporary", What: "files that are gone before anybody can look", Do: temporary},
		{Name: "many", What: "10,000 files at once", Do: many, OnFS: true, Many: true},
		{Name: "overflow", What: "more events than the kernel keeps", Do: overflow, OnFS: true, Stalled: true, Many: true},
	}
}

// Find is the exercise of that name.
func Find(name string) (Exercise, error) {
	var known []string
	for _, e := range All() {
		if e.Name == name {
			return e, nil
		}
		known = append(known, e.Name)
	}
	return Exercise{}, fmt.Errorf("%q is no exercise (there are %s)", name, strings.Join(known, " "))
}

// notice is long enough for a watcher to have taken notice and begun to copy, so that what follows is a change of its own.
const notice = 300 * time.Millisecond

// steps runs one step after the other, with time to be noticed in between.
func steps(dir string, all ...func(dir string) error) error {
	for i, step := range all {
		if i > 0 {
			time.Sleep(notice)
		}
		if err := step(dir); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file in place.
func put(dir, name, text string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
}

// tree makes a small tree.
func tree(dir, name string) error {
	for _, d := range []string{"a/b/c", "d", "e"} {
		if err := os.MkdirAll(filepath.Join(dir, name, d), 0o755); err != nil {
			return err
		}
	}
	for _, f := range []string{"top", "a/one", "a/b/two", "a/b/c/three", "d/four"} {
		if err := put(dir, filepath.Join(name, f), name+" "+f+"\n"); err != nil {
			return err
		}
	}
	return os.Symlink("../a/one", filepath.Join(dir, name, "d", "link"))
}

// all joins the errors of calls that do not depend on each other.
func all(failures ...error) error { return errors.Join(failures...) }
