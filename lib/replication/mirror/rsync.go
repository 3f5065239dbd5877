package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// Rsync is a replica that rsync on another server keeps: the paper's way from DRS1 to DRS2.
//
// What changed is given to one run of rsync as a list; a rescan is a run over everything. rsync works in the opened share itself, so that a
// mount over it or a rename of it cannot make it take something else for the share, and delete accordingly.
type Rsync struct {
	Share     *tree.Root
	Target    string // HOST:DIRECTORY/, or a local directory
	Shell     string // what rsync reaches the host with, such as hafs-dial; empty for a local target
	Program   string // rsync itself
	Bandwidth int    // KiB/s of a run over everything; 0: no limit
	Unmarked  bool   // allow a share without marker
	Show      func(line string)
	Log       zerolog.Logger

	moved atomic.Int64
	index *journal // names of files that have several
	mu    sync.Mutex
}

// ErrVanished means that files disappeared while they were being copied: everything is to be compared again, but nothing has failed.
var ErrVanished = errors.New("files vanished while they were being copied")

// Exit statuses of rsync(1).
const (
	rsyncPartial  = 23
	rsyncVanished = 24
)

// rsyncResult turns the exit status into an error. 24 is told apart because it says nothing about the replica's health; neither is success.
func rsyncResult(status int, stderr string) error {
	detail := strings.TrimSpace(stderr)
	if i := strings.IndexByte(detail, '\n'); i >= 0 {
		detail = detail[:i]
	}
	switch {
	case status == 0:
		return nil
	case status == rsyncVanished, status == rsyncPartial && onlyVanished(stderr):
		return ErrVanished
	case strings.Contains(stderr, "No space left on device") || strings.Contains(stderr, "Disk quota exceeded"):
		return fmt.Errorf("%w: rsync: %s", ErrFull, detail)
	case status == rsyncPartial:
		return fmt.Errorf("rsync: some files were not transferred (status 23): %s", detail)
	}
	return fmt.Errorf("rsync: status %d: %s", status, detail)
}

// vanished are the complaints of rsync about something that was removed, or became something else or shorter, between two looks at it.
var vanished = regexp.MustCompile(`vanished|\[sender\] read errors mapping .*: No data available \(61\)$|(No such file or directory \(2\)|Not a directory \(20\)|Is a directory \(21\)|Directory not empty \(39\))$|\[sender\].*Too many levels of symbolic links \(40\)$`)

// onlyVanished says whether rsync complains of nothing else. Its own summary, and the note that it deleted nothing for that reason, do not count.
func onlyVanished(stderr string) bool {
	found := false
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "rsync error:"), strings.HasPrefix(line, "rsync warning:"), strings.HasPrefix(line, "IO error encountered"):
		case vanished.MatchString(line):
			found = true
		default:
			return false
		}
	}
	return found
}

// keptXattrs are rsync's words for change.KeptXattr, but for ACLs, which it has an option of its own for. They are for both sides (s, r) by name: without
// that --delete-excluded makes them rules for the sender alone, and the receiver takes ACLs away as attributes that the share does not have.
var keptXattrs = []string{"--filter=+xsr user.**", "--filter=+xsr trusted.**", "--filter=+xsr security.capability", "--filter=-xsr **"}

// common are the options of every run. -@-1 compares nanoseconds.
func (r *Rsync) common() []string {
	args := append([]string{"-aHAXS", "--numeric-ids", "-@-1", "--exclude=" + change.TemporaryPrefix + "*", "--exclude=/" + change.Trash}, keptXattrs...)
	if r.Shell != "" {
		args = append(args, "-e", r.Shell)
	}
	if r.Show != nil {
		args = append(args, "-n", "--itemize-changes")
	}
	return args
}

// Apply deals with changes; see Transport.
func (r *Rsync) Apply(ctx context.Context, changes []change.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(); err != nil {
		return err
	}
	var paths []string
	for _, c := range changes {
		switch c.Kind {
		case change.Barrier:
		case change.Rescan:
			return r.everything(ctx)
		default:
			paths = append(paths, c.Path)
		}
	}
	return r.listed(ctx, paths)
}

func (r *Rsync) check() error {
	if err := r.Share.StillThere(); err != nil {
		return fmt.Errorf("%w: %w", ErrShareGone, err)
	}
	marker, err := r.Share.Marker()
	if err != nil {
		return fmt.Errorf("read the share's marker: %w", err)
	}
	if marker == nil && r.Unmarked {
		return nil
	}
	return CheckMarkers(marker, marker, false) // the other side's is checked there, by hafs-gate
}

// vanishedTries is how often a run in which files vanished is repeated at once.
const vanishedTries = 3

// everything compares the whole share, and then once more, by content, the files that may have been edited twice within a second.
func (r *Rsync) everything(ctx context.Context) error {
	args := append(r.common(), "--delete", "--delete-excluded") // strays of unfinished writes go too
	if r.Bandwidth > 0 {
		args = append(args, fmt.Sprintf("--bwlimit=%d", r.Bandwidth))
	}
	var err error
	for range vanishedTries {
		if err = r.run(ctx, append(args, "./", r.Target), nil); !errors.Is(err, ErrVanished) {
			break
		}
	}
	if err != nil {
		return err
	}
	recent, err := r.walk()
	if err != nil || len(recent) == 0 || r.Show != nil {
		return err
	}
	return r.listed(ctx, recent)
}

// listed brings single paths up to date. Their content is compared, for a file may have been replaced by one with the same size and time: a
// DRS1's times are whole seconds.
func (r *Rsync) listed(ctx context.Context, paths []string) error {
	list, err := r.list(paths)
	if err != nil || len(list) == 0 {
		return err
	}
	args := append(r.common(), "-c", "--from0", "--files-from=-", "--delete-missing-args", "--force", "./", r.Target)
	for range vanishedTries {
		if err = r.run(ctx, args, list); !errors.Is(err, ErrVanished) {
			break
		}
	}
	return err
}

// list makes rsync's list of paths. A path below something that is no directory in the share is given as that something: rsync would follow a
// symbolic link there. All names of a file with several go together.
func (r *Rsync) list(paths []string) ([]byte, error) {
	seen := map[string]bool{}
	var list bytes.Buffer
	add := func(path string) {
		if !seen[path] {
			seen[path] = true
			list.WriteString("./") // rsync takes a name that starts with # or ; for a comment
			list.WriteString(path)
			list.WriteByte(0)
		}
	}
	for _, path := range paths {
		real, e, err := r.nearest(path)
		if err != nil {
			return nil, err
		}
		add(real)
		if e != nil && e.Kind == change.File && r.index != nil {
			r.index.names.seen(real, e)
			for _, name := range r.index.names.others(real, e) {
				if other, err := r.Share.Lstat(name); err == nil && other != nil && other.Ino == e.Ino && other.Dev == e.Dev {
					add(name)
				}
			}
		}
	}
	return list.Bytes(), nil
}

// nearest is the path itself, or the uppermost thing above it that is not a directory (or is not there).
func (r *Rsync) nearest(path string) (string, *change.Entry, error) {
	e, err := r.Share.Lstat(path)
	if err != nil || e != nil || path == "." {
		return path, e, err
	}
	for up := parent(path); up != "."; up = parent(up) {
		e, err := r.Share.Lstat(up)
		if err != nil {
			return "", nil, err
		}
		if e == nil || e.Kind != change.Directory {
			path = up
		}
	}
	return path, nil, nil
}

func (r *Rsync) run(ctx context.Context, args []string, stdin []byte) error {
	program := r.Program
	if program == "" {
		program = "rsync"
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = fmt.Sprintf("/proc/self/fd/%d", r.Share.Descriptor()) // resolved in the child, before it becomes rsync
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	var stderr, stdout bytes.Buffer
	cmd.Stderr, cmd.Stdout = &stderr, &stdout
	err := cmd.Run()
	r.moved.Add(1)
	if r.Show != nil {
		for line := range strings.Lines(stdout.String()) {
			r.Show(strings.TrimSuffix(line, "\n"))
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return rsyncResult(exit.ExitCode(), stderr.String())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Progress is not known: rsync works alone.
func (r *Rsync) Progress() int64 { return r.moved.Load() }

// Close has nothing to give up; a running rsync ends with its context.
func (r *Rsync) Close() {}
