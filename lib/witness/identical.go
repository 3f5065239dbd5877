package witness

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"hafs/lib/lab"
	"hafs/lib/record"
)

// Difference is a replica, and what rsync would have to do to it.
type Difference struct {
	Replica string
	Items   []string // lines of rsync --itemize-changes
}

// Compare compares the share on FS with every replica of the record: names, bytes by checksum, modes, owners, times to the second, links. Temporary
// files of HAFS do not count. Replicas on guests that are down are differences too.
func Compare(ctx context.Context, l *lab.Lab, r record.Record) ([]Difference, error) {
	source, err := shareOf(l, r, r.FS.Name)
	if err != nil {
		return nil, err
	}
	defer source.close()
	replicas := Replicas(r)
	found := make([]Difference, len(replicas))
	var group sync.WaitGroup
	for i, name := range replicas {
		group.Go(func() { found[i] = Difference{name, compareOne(ctx, l, r, source, name)} })
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

type share struct {
	name  string // by which programs of this machine reach it
	close func() error
}

func shareOf(l *lab.Lab, r record.Record, name string) (share, error) {
	m, err := lab.Find(name)
	if err != nil {
		return share{}, err
	}
	guest, err := openRoot(l.Leader(m))
	if err != nil {
		return share{}, fmt.Errorf("%s: %w", name, err)
	}
	defer guest.Close()
	f, path, err := guest.directory(r.DataDirectory)
	if err != nil {
		return share{}, fmt.Errorf("%s: %w", name, err)
	}
	return share{path, f.Close}, nil
}

func compareOne(ctx context.Context, l *lab.Lab, r record.Record, source share, name string) []string {
	target, err := shareOf(l, r, name)
	if err != nil {
		return []string{err.Error()}
	}
	defer target.close()
	cmd := exec.CommandContext(ctx, "rsync", "--dry-run", "--archive", "--checksum", "--hard-links", "--numeric-ids", "--delete",
		"--itemize-changes", "--8-bit-output", "--exclude=.hafs-tmp.*", source.name+"/", target.name+"/")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	items := strings.FieldsFunc(string(out), func(c rune) bool { return c == '\n' })
	if err != nil {
		items = append(items, fmt.Sprintf("%v: %s", err, strings.TrimSpace(complaints.String())))
	}
	return items
}
