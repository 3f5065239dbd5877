// Package change says what can happen to a path of the share, writes it as one line of text, and makes the paper's
// comparison of two directories.
//
// It is pure: it never looks at a file system. The line form survives any name the kernel allows; reading it back is strict, so
// that a damaged line is seen and never acted on.
package change

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what happened to a path, or what has to be done about it.
type Kind string

const (
	Create    Kind = "create"    // only the share has it
	Overwrite Kind = "overwrite" // both have it, and they differ
	Delete    Kind = "delete"    // only the replica has it
	Look      Kind = "look"      // something happened to this very path: compare it
	Rescan    Kind = "rescan"    // what happened below this directory is not known: compare everything there
	Barrier   Kind = "barrier"   // everything that happened before the mark of this id has been reported
	Same      Kind = ""          // both have the same
)

// Change is one line: a kind, and the path relative to the share ("." is the share itself) or the id of a barrier.
type Change struct {
	Kind Kind
	Path string
	// Waited: somebody waits until the change is on the disks of replicas. It is no part of the line.
	Waited bool
}

const (
	maxNameBytes = 255 // NAME_MAX
	maxIDBytes   = 64
)

// MaxPathBytes is the longest path that can be named at once: PATH_MAX without its final zero. A directory may hold longer ones, which its user reaches step by
// step.
const MaxPathBytes = 4095

// Shortened is the directory nearest above a path that is not too long.
func Shortened(path string) string {
	for len(path) > MaxPathBytes {
		path, _ = Split(path)
	}
	return path
}

// String is the line without its end.
func (c Change) String() string {
	return string(c.Kind) + " " + Escape(c.Path)
}

// Parse reads one line without its end. Only what String writes is accepted.
func Parse(line string) (Change, error) {
	kind, text, found := strings.Cut(line, " ")
	if !found {
		return Change{}, fmt.Errorf("change %q: no space after the kind", line)
	}
	path, err := unescape(text)
	if err == nil {
		err = check(Kind(kind), path)
	}
	if err == nil && Escape(path) != text {
		err = errors.New("not in the form this is written in")
	}
	if err != nil {
		return Change{}, fmt.Errorf("change %q: %w", line, err)
	}
	return Change{Kind: Kind(kind), Path: path}, nil
}

func check(kind Kind, path string) error {
	switch kind {
	case Look, Rescan, Overwrite:
		if path == "." {
			return nil
		}
	case Create, Delete:
	case Barrier:
		return CheckID(path)
	default:
		return errors.New("unknown kind")
	}
	return CheckPath(path)
}

// CheckPath refuses what does not name something inside the share.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("the path is empty")
	case path[0] == '/':
		return errors.New("the path is absolute")
	case len(path) > MaxPathBytes:
		return fmt.Errorf("the path is longer than %d bytes", MaxPathBytes)
	case strings.IndexByte(path, 0) >= 0:
		return errors.New("the path contains a zero byte")
	}
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "":
			return errors.New("the path contains an empty name")
		case name == "." || name == "..":
			return fmt.Errorf("the path contains %q", name)
		case len(name) > maxNameBytes:
			return fmt.Errorf("a name in the path is longer than %d bytes", maxNameBytes)
		}
	}
	return nil
}

// CheckID refuses what cannot be the id of a barrier: letters, digits and hyphens only.
func CheckID(id string) error {
	if id == "" || len(id) > maxIDBytes {
		return fmt.Errorf("the id of a barrier has 1 to %d characters", maxIDBytes)
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return errors.New("the id of a barrier holds letters, digits and hyphens only")
		}
	}
	return nil
}

// Escape makes a path fit into a line: backslashes, line ends and all that is not printable are escaped.
func Escape(path string) string {
	if plain(path) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
			for _, c := range []byte(path[i : i+size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(path[i : i+size])
		}
		i += size
	}
	return b.String()
}

func plain(path string) bool {
	for i := range len(path) {
		if c := path[i]; c < ' ' || c == '\\' || c > '~' {
			return false
		}
	}
	return true
}

func unescape(text string) (string, error) {
	if strings.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b = append(b, text[i])
			continue
		}
		rest := text[i+1:]
		switch {
		case strings.HasPrefix(rest, `\`):
			b = append(b, '\\')
			i++
		case strings.HasPrefix(rest, "n"):
			b = append(b, '\n')
			i++
		case len(rest) >= 3 && rest[0] == 'x' && hex(rest[1]) >= 0 && hex(rest[2]) >= 0:
			b = append(b, byte(hex(rest[1])<<4|hex(rest[2])))
			i += 3
		default:
			return "", errors.New(`a backslash is followed by neither \, n nor xNN`)
		}
	}
	return string(b), nil
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
