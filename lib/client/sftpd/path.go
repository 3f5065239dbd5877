package sftpd

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"hafs/lib/host/beneath"
)

// within is a client's name of something as a path for the kernel to resolve below the root. `..` is left to the kernel, which knows where that leads. A relative name is one from
// the share, where a client begins.
func (s *session) within(name string) (string, error) {
	if name == "" {
		return "", unix.ENOENT
	}
	if !path.IsAbs(name) {
		return name, nil
	}
	rest := name
	for part := range strings.SplitSeq(strings.Trim(s.directory, "/"), "/") {
		var first string
		if first, rest = component(rest); first != part {
			return "", unix.EXDEV
		}
	}
	if rest = strings.TrimLeft(rest, "/"); rest == "" {
		return ".", nil
	}
	return rest, nil
}

// component takes the first part of a path, without what stands for nothing.
func component(name string) (first, rest string) {
	for rest = name; ; {
		first, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		if first != "." {
			return first, rest
		}
	}
}

// at opens what has a name, to look at it or to set its attributes; a link itself, not where it leads.
func (s *session) at(name string) (int, error) {
	p, err := s.within(name)
	if err != nil {
		return -1, err
	}
	return beneath.Open(s.root, p, unix.O_PATH|unix.O_NOFOLLOW, 0, beneath.OneMount)
}

// place is where a name is, or is to be: a directory below the root, and a name in it without any slash.
type place struct {
	directory int
	name      string
}

// locate opens the directory of a name; close gives it back. The kernel itself refuses to make, move or remove `.` and `..`.
func (s *session) locate(name string) (p place, close func(), err error) {
	within, err := s.within(name)
	if err != nil {
		return place{}, nil, err
	}
	above, last := path.Split(strings.TrimRight(within, "/"))
	if above == "" {
		return place{s.root, last}, func() {}, nil
	}
	fd, err := beneath.Open(s.root, above, unix.O_PATH|unix.O_DIRECTORY, 0, beneath.OneMount)
	if err != nil {
		return place{}, nil, err
	}
	return place{fd, last}, func() { unix.Close(fd) }, nil
}

// locateTwo opens the directories of two names.
func (s *session) locateTwo(one, other string) (p, q place, close func(), err error) {
	p, closeFirst, err := s.locate(one)
	if err != nil {
		return place{}, place{}, nil, err
	}
	q, closeSecond, err := s.locate(other)
	if err != nil {
		closeFirst()
		return place{}, place{}, nil, err
	}
	return p, q, func() { closeFirst(); closeSecond() }, nil
}
