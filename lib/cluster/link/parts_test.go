package link

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/host/problem"
	"hafs/lib/host/system"
	"hafs/lib/testkit/scenariotest"
)

// A scenario is how units are at moments, and what is said of them then; those that are not named run. "gone" is one that systemd has not loaded.
//
//	1s  hafs-mirror.service activating/auto-restart
//	5s  hafs-mirror.service activating/auto-restart
//	said part-down hafs-mirror.service does not run: it ends again and again
func TestParts(t *testing.T) {
	scenariotest.Play(t, "testdata/parts/*.txt", func(t *testing.T, file, text string) {
		var p parts
		var why problem.Problem
		begun := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		var got, want []string
		for i, line := range strings.Split(text, "\n") {
			words := strings.Fields(line)
			switch {
			case len(words) == 0 || words[0] == "#":
			case words[0] == "said":
				want = append(want, strings.Join(words[1:], " "))
			case words[0] == "watch": // what hafs-watch left, or nothing
				why = problem.Problem{}
				if len(words) > 1 {
					why = problem.Problem{ID: problem.ID(words[1]), Text: strings.Join(words[2:], " ")}
				}
			default:
				if !slices.Equal(got, want) {
					t.Errorf("%s:%d: before this: said %q, want %q", file, i+1, got, want)
				}
				at, err := time.ParseDuration(words[0])
				if err != nil {
					t.Fatalf("%s:%d: %v", file, i+1, err)
				}
				if !slices.Equal(words[1:], []string{"unseen"}) {
					p.see(units(t, words[1:]), begun.Add(at))
				}
				got, want = nil, nil
				for _, found := range p.problems(why, begun.Add(at)) {
					mark := ""
					if found.Note {
						mark = "note "
					}
					got = append(got, fmt.Sprintf("%s%s %s: %s", mark, found.ID, found.Part, found.Text))
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: at the end: said %q, want %q", file, got, want)
		}
	})
}

// units are those that run always, but for what is said of some.
func units(t *testing.T, words []string) []system.Unit {
	t.Helper()
	all := map[string]system.Unit{}
	for _, name := range always {
		all[name] = system.Unit{Name: name, Active: "active", Sub: "running", Quiet: time.Second}
	}
	for i := 0; i+1 < len(words); i += 2 {
		u := system.Unit{Name: words[i]}
		if quiet, err := time.ParseDuration(words[i+1]); err == nil {
			u.Active, u.Sub, u.Quiet = "active", "running", quiet
		} else {
			u.Active, u.Sub, _ = strings.Cut(words[i+1], "/")
		}
		all[u.Name] = u
		if u.Active == "gone" {
			delete(all, u.Name)
		}
	}
	var list []system.Unit
	for _, u := range all {
		list = append(list, u)
	}
	return list
}

func TestWhatWillSoonBeMissing(t *testing.T) {
	for _, c := range []struct {
		name  string
		state bool
		st    unix.Statfs_t
		want  string
	}{
		{"plenty", true, unix.Statfs_t{Bsize: 4096, Bavail: 1 << 20, Files: 1 << 20, Ffree: 1 << 19}, ""},
		{"a file system without a number of inodes", true, unix.Statfs_t{Bsize: 4096, Bavail: 1 << 20}, ""},
		{"few inodes", false, unix.Statfs_t{Bsize: 4096, Bavail: 1 << 20, Files: 1 << 20, Ffree: 12}, "scarce-inodes only 12 inodes are left in /d"},
		{"little room for the state", true, unix.Statfs_t{Bsize: 4096, Bavail: 10}, "scarce-room only 40 KiB are left in /d"},
		{"little room for the share, which everybody tells", false, unix.Statfs_t{Bsize: 4096, Bavail: 10}, ""},
	} {
		var got []string
		for _, p := range scarce("/d", c.state, c.st) {
			got = append(got, string(p.ID)+" "+p.Text)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
