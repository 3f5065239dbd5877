// Package beneath opens what lies below a directory and nothing else: the kernel resolves a path below the opened directory, through no symbolic link at all, not
// even one that stays inside (openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS). os.Root would follow links inside, and through FUSE it opens every
// directory on the way, a round trip each.
//
// It promises that no path, whoever names it and whatever is renamed meanwhile, leads out of the directory. It says nothing about hard links, which
// are files of the directory like any other.
package beneath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Limits of a resolution, beside the one that nothing leaves the directory.
const (
	Anywhere = 0                    // mounts below the directory belong to it
	OneMount = unix.RESOLVE_NO_XDEV // mounts below the directory do not: EXDEV
	always   = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
)

// Open opens a path below a directory. A link on the way is ELOOP; so is one at the end, unless flags are O_PATH and O_NOFOLLOW: then the link itself is opened. What
// would lead outside is EXDEV.
func Open(directory int, path string, flags int, mode uint32, limits uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Mode: uint64(mode), Resolve: always | limits}
	for {
		fd, err := unix.Openat2(directory, path, &how)
		// EAGAIN: a rename raced with the resolution. EINTR: the runtime's own signals do that to calls on FUSE mounts.
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
