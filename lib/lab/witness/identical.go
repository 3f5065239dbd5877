package witness

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/lab/guests"
)

// Difference is a replica, and what rsync would have to do to it.
type Difference struct {
	Replica string
	Items   []string // lines of rsync --itemize-changes
}

// Compare compares the share on FS with every replica of the record: names, bytes by checksum, modes, owners, times, links. Streams keep times to
// the nanosecond, sshfs to the second and those of symbolic links not at all. Temporary files of HAFS do not count. Replicas on guests that are down are differences too.
func Compare(ctx context.Context, l *guests.Lab, r record.Record) ([]Difference, error) {
	source, err := shareOf(l, r, r.FS.Name)
	if err != nil {
		return nil, err
	}
	times := []string{"--omit-link-times"}
	if streams, err := fedByStreams(l, r.FS.Name); err != nil {
		return nil, err
	} else if streams {
		times = []string{"--modify-window=-1"}
	}
	replicas := Replicas(r)
	found := make([]Difference, len(replicas))
	var group sync.WaitGroup
	for i, name := range replicas {
		group.Go(func() { found[i] = Difference{name, compareOne(ctx, l, r, times, source, name)} })
	}
	group.Wait()
	return slices.DeleteFunc(found, func(d Difference) bool { return len(d.Items) == 0 }), ctx.Err()
}

// Replicas lists every DRS1 and DRS2 of a record.
func Replicas(r record.Record) []string {
	var all []string
	for _, p := range r.Pairs {
		for _, name := range []string{p.DRS1, p.DRS2} {
			if name != record.Trouble {
				all = append(all, name)
			}
		}
	}
	return all
}

// fedByStreams reads a guest's settings.
func fedByStreams(l *guests.Lab, name string) (bool, error) {
	m, err := guests.Find(name)
	if err != nil {
		return false, err
	}
	guest, err := openRoot(l.Leader(m))
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	defer guest.Close()
	settings, err := readSettings(guest)
	return settings.Transport == config.TransportStream, err
}

// shareOf is the name by which programs of this machine reach the share of a guest. They cannot go through the guest's root: rsync follows
// every link on a path by itself, and the link to that root leads nowhere then.
func shareOf(l *guests.Lab, r record.Record, name string) (string, error) {
	m, err := guests.Find(name)
	if err != nil {
		return "", err
	}
	guest, err := openRoot(l.Leader(m))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer guest.Close()
	inside, err := guest.open(r.DataDirectory, os.O_RDONLY, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer inside.Close()
	outside := filepath.Join(l.Root(m), r.DataDirectory)
	seen, err := inside.Stat()
	if err != nil {
		return "", err
	}
	if here, err := os.Stat(outside); err != nil || !os.SameFile(seen, here) {
		return "", fmt.Errorf("%s: %s is a mount of its own, which cannot be compared", name, r.DataDirectory)
	}
	return outside, nil
}

func compareOne(ctx context.Context, l *guests.Lab, r record.Record, times []string, source, name string) []string {
	target, err := shareOf(l, r, name)
	if err != nil {
		return []string{err.Error()}
	}
	options := append(slices.Clone(times), "--dry-run", "--archive", "--checksum", "--hard-links", "--numeric-ids", "--delete",
		"--itemize-changes", "--8-bit-output", "--exclude=.hafs-tmp.*", "--exclude=/.hafs-trash")
	cmd := exec.CommandContext(ctx, "rsync", append(options, source+"/", target+"/")...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	items := strings.FieldsFunc(string(out), func(c rune) bool { return c == '\n' })
	if err != nil {
		items = append(items, fmt.Sprintf("%v: %s", err, strings.TrimSpace(complaints.String())))
	}
	return items
}
