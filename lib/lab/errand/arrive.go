package errand

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Arrivals waits for the files of a [Series] in a folder that is there already.
type Arrivals struct {
	Directory string
	Files     int
	Bytes     int
	Within    time.Duration
	Quiet     time.Duration // ends when nothing has arrived for so long, once anything has; 0: never
}

// arrivalMask are the events after which a file may be whole, however it was written.
const arrivalMask = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_ATTRIB

// Run prints a [Seen] a line, of each file once, as soon as it holds the right bytes.
func (a Arrivals) Run(ctx context.Context, out io.Writer) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	watcher := os.NewFile(uintptr(fd), "inotify")
	defer watcher.Close()
	if _, err := unix.InotifyAddWatch(fd, a.Directory, arrivalMask); err != nil {
		return fmt.Errorf("watch %s: %w", a.Directory, err)
	}
	if _, err := fmt.Fprintln(out, Ready); err != nil {
		return err
	}
	expected := map[string][]byte{}
	for n := range a.Files {
		expected[fileName(n)] = Content(fileName(n), a.Bytes)
	}
	end := time.Now().Add(a.Within)
	stop := context.AfterFunc(ctx, func() { _ = watcher.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buffer := make([]byte, 64<<10)
	deadline := end
	for len(expected) > 0 {
		if err := watcher.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, err := watcher.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ctx.Err() // whoever reads counts
		} else if err != nil {
			return err
		}
		for _, name := range names(buffer[:n]) {
			want, waited := expected[name]
			if !waited {
				continue
			}
			at := now()
			if have, err := os.ReadFile(filepath.Join(a.Directory, name)); err != nil || !bytes.Equal(have, want) {
				continue
			}
			delete(expected, name)
			if err := tell(out, Seen{name, at}); err != nil {
				return err
			}
			if quiet := time.Now().Add(a.Quiet); a.Quiet > 0 && quiet.Before(end) {
				deadline = quiet
			}
		}
	}
	return nil
}

// names are the names in a buffer of inotify events.
func names(buffer []byte) []string {
	var all []string
	for len(buffer) >= unix.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(buffer[12:]))
		end := min(unix.SizeofInotifyEvent+length, len(buffer))
		name := string(bytes.TrimRight(buffer[unix.SizeofInotifyEvent:end], "\x00"))
		if len(all) == 0 || all[len(all)-1] != name {
			all = append(all, name)
		}
		buffer = buffer[end:]
	}
	return all
}
