package watch

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// Event is what the kernel says: something happened to a path, or that it lost count (Lost).
type Event struct {
	Path string // absolute, as the watch was added
	New  bool   // something has this name now that may not have had it
	Gone bool   // what had this name has it no more
	Lost error  // some events are lost, and this is why
	Raw  string // for people
}

// Kernel watches single directories, not what is below them.
type Kernel interface {
	// Add watches a directory. Adding it again is no error. ErrLimit: the kernel has no room for more watches.
	Add(dir string) error
	// Remove stops watching; it is no error if the directory is not watched.
	Remove(dir string)
	// Events is closed after Close, or when the kernel gives no more events.
	Events() <-chan Event
	Close()
}

// ErrLimit means that a limit of the kernel stands in the way; the message names the setting.
var ErrLimit = errors.New("inotify limit reached")

func limit(setting, path string) error {
	value, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(setting, ".", "/"))
	return fmt.Errorf("%w: %s is %s, too few for %s; raise it: sysctl -w %s=…", ErrLimit, setting, strings.TrimSpace(string(value)), path, setting)
}

// eventBuffer is how many events wait in memory beside the kernel's own queue while a new directory is being listed.
const eventBuffer = 1 << 14

type inotify struct {
	watcher *fsnotify.Watcher
	events  chan Event
	lost    chan error
}

// Inotify opens a new inotify instance.
func Inotify() (Kernel, error) { return openInotify(eventBuffer) }

func openInotify(buffer uint) (Kernel, error) {
	w, err := fsnotify.NewBufferedWatcher(buffer)
	if errors.Is(err, unix.EMFILE) {
		return nil, limit("fs.inotify.max_user_instances", "one more instance")
	}
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	k := &inotify{watcher: w, events: make(chan Event), lost: make(chan error, 1)}
	go k.heed()
	go k.pump()
	return k, nil
}

// heed takes the errors of the library. It must never wait: the library may hold its lock while it reports one, and whoever reads
// the events may want that lock.
func (k *inotify) heed() {
	for err := range k.watcher.Errors {
		if errors.Is(err, unix.EINVAL) { // a watch it wanted to remove had gone with its directory
			continue
		}
		select {
		case k.lost <- err:
		default:
		}
	}
}

func (k *inotify) pump() {
	defer close(k.events)
	for {
		select {
		case err := <-k.lost:
			k.events <- Event{Lost: err, Raw: err.Error()}
		case e, ok := <-k.watcher.Events:
			if !ok {
				return
			}
			k.events <- Event{
				Path: e.Name, Raw: e.String(),
				New: e.Has(fsnotify.Create), Gone: e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename),
			}
		}
	}
}

func (k *inotify) Add(dir string) error {
	err := k.watcher.Add(dir)
	if errors.Is(err, unix.ENOSPC) {
		return limit("fs.inotify.max_user_watches", dir)
	}
	return err
}

func (k *inotify) Remove(dir string)    { _ = k.watcher.Remove(dir) }
func (k *inotify) Events() <-chan Event { return k.events }

// Close ends the instance and reads what is still on its way, so that nobody waits for a reader that has gone.
func (k *inotify) Close() {
	go func() {
		for range k.events {
		}
	}()
	k.watcher.Close()
}
