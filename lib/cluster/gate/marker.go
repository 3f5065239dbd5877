package gate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
)

// Marker is the file that says whose share a directory holds.
const Marker = ".hafs-share"

// ErrNoMarker means that a directory holds no share: its file system is not mounted, or it was never deployed.
var ErrNoMarker = problem.As(problem.UnmountedShare, errors.New("no share here"))

// errForeign means that a directory holds the share of another cluster.
var errForeign = errors.New("holds another share")

// CheckMarker says whether a directory holds the share of a cluster.
func CheckMarker(directory, cluster string) error {
	text, err := os.ReadFile(filepath.Join(directory, Marker))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %s has no %s; is its file system mounted?", ErrNoMarker, directory, Marker)
	case err != nil:
		return err
	}
	if got := strings.TrimSpace(string(text)); got != "cluster: "+cluster {
		return fmt.Errorf("%s %w: %s says %q, not %q", directory, errForeign, Marker, got, "cluster: "+cluster)
	}
	return nil
}

// Bareness is in which way a directory does not hold the share.
type Bareness string

const (
	EmptyDisk Bareness = "empty"    // a file system is mounted there that holds nothing: a new disk
	Unmarked  Bareness = "unmarked" // anything else: most likely no file system is mounted, or another one
)

// Look says in which way a directory does not hold the share of a cluster, and why it is thought so; empty when it does, or when its file system does not tell.
func Look(directory, cluster string) (Bareness, error) {
	err := CheckMarker(directory, cluster)
	switch {
	case errors.Is(err, errForeign):
		return Unmarked, err
	case !errors.Is(err, ErrNoMarker):
		return "", nil
	}
	if empty, readErr := Empty(directory); readErr == nil && empty && MountPoint(directory) {
		return EmptyDisk, err
	}
	return Unmarked, err
}

// Empty says whether a directory has nothing in it but what making a file system leaves there.
func Empty(directory string) (bool, error) {
	d, err := os.Open(directory)
	if err != nil {
		return false, err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(100)
		for _, name := range names {
			if name != "lost+found" {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// MountPoint says whether a file system is mounted at a directory.
func MountPoint(directory string) bool {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, directory, 0, 0, &x)
	return err == nil && x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
