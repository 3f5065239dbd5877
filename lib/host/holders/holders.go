// Package holders finds the programs that write to files below a directory: who has one open for writing, or mapped so. It reads /proc, so it
// sees every process of this machine's process namespace when it runs as root, and only its own without. It does not see writers in the kernel
// (loop devices, exports over NFS), nor programs that open a file after it has looked.
package holders

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Holder is a program and one file of the directory that it can write to.
type Holder struct {
	PID  int
	Name string // the kernel's name of the program, at most 15 bytes
	Path string // as the kernel says it
}

func (h Holder) String() string { return fmt.Sprintf("%s (pid %d): %s", h.Name, h.PID, h.Path) }

// Writers lists who can write to a regular file below directory. Processes for which own answers true are left out; it is given the names of
// their control groups, from the root down. What ends meanwhile is no error.
func Writers(directory string, own func(groups []string) bool) ([]Holder, error) {
	directory, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return nil, err
	}
	place, err := placeOf(directory)
	if err != nil {
		return nil, err
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var holders []Holder
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || own(groups(pid)) {
			continue
		}
		paths := append(opened(pid, place), mapped(pid, place)...)
		slices.Sort(paths)
		for _, path := range slices.Compact(paths) {
			holders = append(holders, Holder{pid, name(pid), path})
		}
	}
	slices.SortFunc(holders, func(a, b Holder) int { return cmp.Compare(a.PID, b.PID) })
	return holders, nil
}

// place is how a file below the directory is known. A file system that is mounted there has nothing but such files, whatever path a process in
// a mount namespace of its own has to them.
type place struct {
	directory string
	device    uint64
	mounted   bool
}

func placeOf(directory string) (place, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, directory, 0, unix.STATX_BASIC_STATS, &st); err != nil {
		return place{}, fmt.Errorf("look at %s: %w", directory, err)
	}
	return place{directory, unix.Mkdev(st.Dev_major, st.Dev_minor), st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0}, nil
}

func (p place) has(device uint64, path string) bool {
	return device == p.device && (p.mounted || strings.HasPrefix(path, strings.TrimSuffix(p.directory, "/")+"/"))
}

func opened(pid int, place place) []string {
	var paths []string
	descriptors := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		link := filepath.Join(descriptors, e.Name())
		path, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(path, "/") {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(link, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink == 0 || !place.has(uint64(st.Dev), path) {
			continue
		}
		if writes(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, e.Name())) {
			paths = append(paths, path)
		}
	}
	return paths
}

// writes reads the flags a descriptor was opened with, which are octal.
func writes(info string) bool {
	text, err := os.ReadFile(info)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "flags:"); found {
			flags, err := strconv.ParseInt(strings.TrimSpace(value), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// mapped are the files a process writes to by shared memory, whose descriptors it may have closed since.
func mapped(pid int, place place) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil
	}
	var paths []string
	for line := range bytes.Lines(text) {
		// address permissions offset device inode path
		f := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 6)
		if len(f) < 6 || len(f[1]) < 4 || f[1][1] != 'w' || f[1][3] != 's' {
			continue
		}
		path := strings.TrimLeft(string(f[5]), " ")
		var major, minor uint32
		if _, err := fmt.Sscanf(string(f[3]), "%x:%x", &major, &minor); err != nil || strings.HasSuffix(path, " (deleted)") {
			continue
		}
		if place.has(unix.Mkdev(major, minor), path) {
			paths = append(paths, path)
		}
	}
	return paths
}

func name(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if errors.Is(err, os.ErrNotExist) {
		return "(ended)"
	}
	return strings.TrimSpace(string(text))
}

func groups(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if _, path, found := strings.Cut(strings.TrimSpace(line), "::"); found {
			names = append(names, strings.Split(path, "/")...)
		}
	}
	return names
}
