package guests

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// newestTree is the packed tree that was made last.
func (l *Lab) newestTree() (string, error) {
	found, err := filepath.Glob(l.path("rootfs-*.tar"))
	if err != nil {
		return "", err
	}
	newest, newestTime := "", int64(0)
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && info.ModTime().UnixNano() > newestTime {
			newest, newestTime = path, info.ModTime().UnixNano()
		}
	}
	if newest == "" {
		return "", fmt.Errorf("no rootfs-*.tar in %s", l.Dir)
	}
	return newest, nil
}

// unpack makes the tree below the overlays from the packed one, unless it is there. It appears whole or not at all.
func (l *Lab) unpack(ctx context.Context, packed string) (string, error) {
	public, err := os.ReadFile(l.KeyPath() + ".pub")
	if err != nil {
		return "", err
	}
	if packed == "" {
		if packed, err = l.newestTree(); err != nil {
			return "", err
		}
	}
	info, err := os.Stat(packed)
	if err != nil {
		return "", err
	}
	entries := common(string(public))
	tree := l.path(lowerName(fmt.Sprint(filepath.Base(packed), info.Size(), info.ModTime().UnixNano()), entries))
	if exists(tree) {
		return tree, nil
	}
	litter := tree + ".new"
	if err := os.RemoveAll(litter); err != nil {
		return "", err
	}
	if err := os.MkdirAll(litter, 0o755); err != nil {
		return "", err
	}
	err = run(ctx, []string{"tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*",
		"--file", packed, "--directory", litter}, "")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(litter, 0o755); err != nil {
		return "", err
	}
	if err := place(litter, entries); err != nil {
		return "", err
	}
	return tree, os.Rename(litter, tree)
}

// place puts the entries into a tree that nothing runs in. [os.Root] keeps links in the tree from leading out of it.
func place(tree string, entries []entry) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, e := range entries {
		err := func() error {
			if err := root.MkdirAll(filepath.Dir(e.path), 0o755); err != nil {
				return err
			}
			if err := root.Remove(e.path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if e.link != "" {
				return root.Symlink(e.link, e.path)
			}
			if err := root.WriteFile(e.path, []byte(e.text), e.mode); err != nil {
				return err
			}
			return root.Chmod(e.path, e.mode)
		}()
		if err != nil {
			return fmt.Errorf("place %s: %w", e.path, err)
		}
	}
	return nil
}

// mount puts the guest's overlay together, making the guest first if it is new. A guest keeps the tree it was made over.
func (l *Lab) mount(m Member, tree string) error {
	for _, dir := range []string{l.upper(m), l.work(m), l.Root(m)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if !exists(l.lower(m)) {
		if err := os.Symlink(tree, l.lower(m)); err != nil {
			return err
		}
	}
	tree, err := os.Readlink(l.lower(m))
	if err != nil {
		return err
	}
	if !isMounted(l.Root(m)) {
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", tree, l.upper(m), l.work(m))
		if err := unix.Mount("overlay", l.Root(m), "overlay", 0, options); err != nil {
			return fmt.Errorf("mount overlay on %s: %w", l.Root(m), err)
		}
	}
	if exists(filepath.Join(l.upper(m), hostPublicKey)) {
		return nil
	}
	id := make([]byte, 16)
	rand.Read(id)
	key, err := newKey(m.Name)
	if err != nil {
		return err
	}
	return place(l.Root(m), own(m, hex.EncodeToString(id), key))
}

// isMounted is whether dir is the root of a mount.
func isMounted(dir string) bool {
	var inner, outer unix.Stat_t
	if unix.Lstat(dir, &inner) != nil || unix.Lstat(filepath.Dir(dir), &outer) != nil {
		return false
	}
	return inner.Dev != outer.Dev
}

// removeTree removes a tree that may hold files marked immutable.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	if err := run(context.Background(), []string{"chattr", "-R", "-f", "-i", "-a", dir}, ""); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
