package exercise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func remove(dir string) error {
	return steps(dir,
		func(dir string) error { return all(put(dir, "file", "x"), tree(dir, "tree"), tree(dir, "stays")) },
		func(dir string) error {
			return all(os.Remove(filepath.Join(dir, "file")), os.RemoveAll(filepath.Join(dir, "tree")), os.Remove(filepath.Join(dir, "stays", "a", "one")))
		},
	)
}

func rename(dir string) error {
	move := func(from, to string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	return steps(dir,
		func(dir string) error {
			return all(put(dir, "one", "one\n"), put(dir, "two", "two\n"), put(dir, "over", "over\n"), tree(dir, "tree"), tree(dir, "inner"))
		},
		func(string) error {
			return all(move("one", "first"), move("two", "over"), move("tree", "moved"), move("inner", "moved/a/inner"))
		},
		func(string) error { return all(move("moved", "tree"), move("tree/a/inner/a", "up")) },
	)
}

func swap(dir string) error {
	if err := all(tree(dir, "left"), tree(dir, "right")); err != nil {
		return err
	}
	move := func(from, to string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	for range 21 {
		if err := all(move("left", "between"), move("right", "left"), move("between", "right")); err != nil {
			return err
		}
	}
	return nil
}

func mkdirDeep(dir string) error {
	for n := range 5 {
		deep := filepath.Join(dir, fmt.Sprint("root", n), strings.Repeat("deeper/", 20))
		if err := os.MkdirAll(deep, 0o755); err != nil {
			return err
		}
		if err := put(deep, "end", "end\n"); err != nil {
			return err
		}
	}
	return nil
}

func emptyDirectories(dir string) error {
	return steps(dir,
		func(dir string) error { return os.MkdirAll(filepath.Join(dir, "empty", "below", "empty"), 0o755) },
		func(dir string) error {
			return all(os.MkdirAll(filepath.Join(dir, "another"), 0o711), os.Remove(filepath.Join(dir, "empty", "below", "empty")))
		},
	)
}

// names have bytes that text tools take for something else, and the longest name there is.
func names(dir string) error {
	for _, name := range []string{
		"with space", " leading", "trailing ", "new\nline", "tab\there", `back\slash`, `quote"s'`, "*?[x]", "-rf", "$HOME", "a;b&c|d", "%41",
		"grüße", "日本語", "\u0065\u0301 and \u00e9", "not\xff\xfeutf8", "...", ".hidden", "#x~", strings.Repeat("n", 255), strings.Repeat("名", 85),
	} {
		if err := put(dir, name, "in "+name+"\n"); err != nil {
			return err
		}
		if len(name) > 200 {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, "folder "+name), 0o755); err != nil {
			return err
		}
		if err := put(dir, filepath.Join("folder "+name, name), "inside\n"); err != nil {
			return err
		}
	}
	return nil
}
