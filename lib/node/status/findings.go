package status

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/replication/mirror"
)

// scarce is the room below which an operator should think of more disk.
const scarce = 64 << 20

// connectPatience is how long a connection may be missing before that is said: servers that just changed roles make new ones.
const connectPatience = 5 * time.Second

// findings lists what is wrong, gravest first within each server's rows as the record orders them. Consequences of a silent server
// are not listed beside it.
func findings(r record.Record, report Report, answers map[string]Answer, now time.Time) []Finding {
	found := []Finding{}
	add := func(grave bool, server, do, text string, args ...any) {
		found = append(found, Finding{Grave: grave, Server: server, Do: do, Text: fmt.Sprintf(text, args...)})
	}
	if deaf(answers) {
		add(true, report.SeenFrom, "systemctl status hafs-linkcheck on "+report.SeenFrom, "%s: %v; nothing is known of the servers", report.SeenFrom, link.ErrNotRunning)
		return found
	}
	for _, s := range report.Servers {
		a := answers[s.Name]
		switch {
		case r.Role(s.Name) == record.RoleFailed && !s.Answers:
			add(false, s.Name, "start it; it is taken back by itself", "%s has failed and does not answer: %s", s.Name, s.Problem)
		case r.Role(s.Name) == record.RoleFailed:
			add(false, s.Name, "wait; if this stays: "+remedy(a, s.Name), "%s has failed, answers, and is not back yet: %s", s.Name, firstOf(s.Problem, "being brought up to date"))
		case !s.Answers:
			add(true, s.Name, silenceRemedy(s.Problem, r.FS.Name), "%s does not answer: %s", s.Name, s.Problem)
		case s.Generation < r.Generation:
			add(true, s.Name, "journalctl -u hafs-linkcheck on "+s.Name, "%s has generation %d, not %d", s.Name, s.Generation, r.Generation)
		case !a.Details.Confirmed:
			add(true, s.Name, "start more servers: a majority has to answer", "%s has not heard from a majority since it booted", s.Name)
		case s.Problem != "":
			add(true, s.Name, remedy(a, s.Name), "%s: %s", s.Name, s.Problem)
		}
		for _, peer := range slices.Sorted(maps.Keys(a.Dial)) {
			if f := a.Dial[peer]; s.Answers && answered(report, peer) && r.Role(peer) != record.RoleFailed && now.Sub(f.Since) > connectPatience {
				add(true, s.Name, dialRemedy(f.Error, s.Name), "%s gets no data connection to %s: %s", s.Name, peer, f.Error)
			}
		}
		if a.Role.Aside != "" {
			add(false, s.Name,
				fmt.Sprintf("look at %[2]s.list, take what you need, then on %[1]s: rm -r %[2]s %[2]s.list", s.Name, a.Role.Aside),
				"%s came back with files that nobody else has; they are in %s", s.Name, a.Role.Aside)
		}
	}
	for _, p := range report.Replicas {
		switch {
		case !answered(report, p.FedBy) || !answered(report, p.Name): // listed above
		case p.State == "":
			add(true, p.Name, "journalctl -u hafs-mirror on "+p.FedBy, "%s (%s of pair %d): %s does not feed it yet", p.Name, p.Place, p.Pair, p.FedBy)
		case p.State == mirror.Broken:
			add(true, p.Name, "journalctl -u hafs-mirror on "+p.FedBy, "%s (%s of pair %d) gets no changes: %s", p.Name, p.Place, p.Pair, p.Error)
		case p.State == mirror.Filling && p.Error != "":
			add(false, p.Name, "wait; if this stays: journalctl -u hafs-mirror on "+p.FedBy, "%s (%s of pair %d) is being filled again after: %s", p.Name, p.Place, p.Pair, p.Error)
		case p.State == mirror.Filling && p.Counts:
			add(false, p.Name, "wait", "%s (%s of pair %d) was whole, and is compared with %s again", p.Name, p.Place, p.Pair, p.FedBy)
		case p.State == mirror.Filling:
			add(false, p.Name, "wait", "%s (%s of pair %d) is being filled", p.Name, p.Place, p.Pair)
		}
		if p.Held > 0 {
			add(true, p.Name, "if they are meant: hafs-mirror release on "+p.FedBy+"; if not: restore the files in the share",
				"%d files that were deleted at once are kept on %s (%s of pair %d)", p.Held, p.Name, p.Place, p.Pair)
		}
		if p.Scrub != nil && len(p.Scrub.Differed) > 0 {
			add(false, p.Name, "look at the disks of "+p.Name+" and "+p.FedBy,
				"%s (%s of pair %d) had another content with the same size and time, now written anew: %s", p.Name, p.Place, p.Pair, strings.Join(p.Scrub.Differed, " "))
		}
	}
	found = append(found, lacking(report)...)
	if alone(r, report) {
		add(true, r.FS.Name, "wait until a copy is whole", "no other server has a whole copy: what is written now is on %s alone, or refused (without_copies)", r.FS.Name)
	}
	for i, p := range r.Pairs {
		if p.DRS1 == record.Trouble {
			add(true, "", "bring a failed server back, or add one", "pair %d is in trouble: it keeps no copy", i+1)
		} else if p.DRS2 == record.Trouble {
			add(true, "", "bring a failed server back, or add one", "pair %d is in trouble: no server is left for its DRS2", i+1)
		}
	}
	found = append(found, unlike(r, answers)...)
	if len(r.WithStatus(record.Spare)) == 0 {
		add(false, "", "bring a failed server back, or add one", "no spare is left: the next failure leaves a place in trouble")
	}
	if report.RoomBytes > 0 && report.RoomBytes < scarce {
		add(true, "", "free space on the server with the least", "only %d MiB may still be written (half the free space of the fullest server)", report.RoomBytes>>20)
	}
	return found
}

// alone says whether all replicas of the file sharing server are still being filled for the first time.
func alone(r record.Record, report Report) bool {
	if !answered(report, r.FS.Name) {
		return false
	}
	known := false
	for _, p := range report.Replicas {
		if p.FedBy != r.FS.Name || p.State == "" {
			continue
		}
		if p.State != mirror.Filling || p.Counts {
			return false
		}
		known = true
	}
	return known
}

// deaf says whether nobody could be asked, which says nothing of the servers.
func deaf(answers map[string]Answer) bool {
	for _, a := range answers {
		if !errors.Is(a.Err, link.ErrNotRunning) {
			return false
		}
	}
	return len(answers) > 0
}

func answered(report Report, name string) bool {
	for _, s := range report.Servers {
		if s.Name == name {
			return s.Answers
		}
	}
	return false
}

func remedy(a Answer, name string) string {
	switch {
	case strings.Contains(a.Details.Facts.Problem, agree.ErrDamaged.Error()):
		return "hafs-promote failed " + name + "; it is taken back by itself, and votes again"
	case a.Details.Facts.Bare == gate.Bare && a.Role.Role != record.RoleFS:
		return "hafs-promote init --empty on " + name + ", if that is its new disk"
	case a.Details.Facts.Bare != "":
		return "mount the file system of the share there"
	case a.Details.Facts.Problem != "":
		return "look at the disk that holds that directory"
	case strings.Contains(a.Role.Problem, gate.ErrNoMarker.Error()):
		return "mount the file system of the share there"
	}
	return "journalctl -u hafs-role there; it tries again every second"
}

// silenceRemedy tells a server that is there and turns us away, which no waiting mends, from one that is lost.
func silenceRemedy(problem, fs string) string {
	if keys(problem) {
		return deployKeys
	}
	return "wait for the examination time; then look at hafs-linkcheck on " + fs
}

func dialRemedy(problem, server string) string {
	if keys(problem) {
		return deployKeys
	}
	return "journalctl -u hafs-dial on " + server
}

const deployKeys = "deploy keys and certificates anew: playbooks/site.yml"

// keys says whether a problem is one of keys or certificates.
func keys(problem string) bool {
	return strings.Contains(problem, "refuses our key") || strings.Contains(problem, "host certificate")
}
