package change

import "strings"

const (
	// Marker is the file at the root of the share that says whose share this is; it has the same bytes on every replica.
	Marker = ".hafs-share"
	// TemporaryPrefix starts every name that is not part of the share's content.
	TemporaryPrefix = ".hafs-tmp."
	// CookiePrefix starts the name of a barrier's mark, at the root of the share; its id follows.
	CookiePrefix = TemporaryPrefix + "cookie."
	// PartialPrefix starts the name of a large file that has not arrived in full; a hash of its name follows.
	PartialPrefix = TemporaryPrefix + "partial."
	// Trash is the directory at the root of a replica that keeps what was deleted there. It is never part of the share.
	Trash = ".hafs-trash"
)

// Trashed says whether a name in a directory is that of the trash.
func Trashed(dir, name string) bool { return name == Trash && dir == "." }

// Own says whether a name in a directory is one of the toolkit's own, not part of the share's content.
func Own(dir, name string) bool {
	return strings.HasPrefix(name, TemporaryPrefix) || Trashed(dir, name)
}

// Temporary says whether a path is, or lies below, one of the toolkit's own names that are not part of the share's content.
func Temporary(path string) bool {
	return Within(path, Trash) || strings.HasPrefix(path, TemporaryPrefix) || strings.Contains(path, "/"+TemporaryPrefix)
}

// Split divides a path into the directory and the name in it. The share itself is the name "." in the directory ".".
func Split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	return path[:i], path[i+1:]
}

// Join is the inverse of Split.
func Join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

// Within says whether path is dir or lies below it.
func Within(path, dir string) bool {
	return dir == "." || path == dir || len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// Depth counts the names in a path; the share itself has depth 0.
func Depth(path string) int {
	if path == "." {
		return 0
	}
	return strings.Count(path, "/") + 1
}
