package status

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hafs/lib/client/dial"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/host/problem"
	"hafs/lib/replication/mirror"
)

// scarce is the room below which an operator should think of more disk.
const scarce = 64 << 20

// connectPatience is how long a connection may be missing before that is said: servers that just changed roles make new ones.
const connectPatience = 5 * time.Second

// findings lists what is wrong, gravest first within each server's rows as the record orders them. Consequences of a silent server
// are not listed beside it.
func findings(r record.Record, report Report, answers map[string]Answer, now time.Time) []Finding {
	l := list{found: []Finding{}} // an empty list in JSON too
	if deaf(answers) {
		l.add(NobodyToAsk, grave, report.SeenFrom, "", "%s: %v; nothing is known of the servers", report.SeenFrom, link.ErrNotRunning)
		return l.found
	}
	for _, s := range report.Servers {
		l.server(r, report, s, answers[s.Name], now)
	}
	for _, p := range report.Replicas {
		if answered(report, p.FedBy) && answered(report, p.Name) { // else listed above
			l.replica(p)
		}
	}
	l.found = append(l.found, lacking(report)...)
	if alone(r, report) {
		l.add(NoWholeCopy, grave, r.FS.Name, "", "no other server has a whole copy: what is written now is on %s alone, or refused (without_copies)", r.FS.Name)
	}
	for i, p := range r.Pairs {
		if p.DRS1 == record.Trouble {
			l.add(PlaceInTrouble, grave, "", "", "pair %d is in trouble: it keeps no copy", i+1)
		} else if p.DRS2 == record.Trouble {
			l.add(PlaceInTrouble, grave, "", "", "pair %d is in trouble: no server is left for its DRS2", i+1)
		}
	}
	l.found = append(l.found, unlike(r, answers)...)
	if len(r.WithStatus(record.Spare)) == 0 {
		l.add(NoSpare, note, "", "", "no spare is left: the next failure leaves a place in trouble")
	}
	if report.roomKnown && report.RoomBytes < scarce && answers[report.fullest].Details.Facts.ProblemID != problem.Full {
		f := Finding{ID: problem.NoRoom, Grave: grave, Server: report.fullest, Part: r.DataDirectory}
		f.Text = fmt.Sprintf("only %d MiB may still be written (half the free space of %s, the fullest server)", report.RoomBytes>>20, report.fullest)
		l.found = append(l.found, remedied(f, ""))
	}
	return l.found
}

// grave is said of what is lost or at risk now; of anything else a note is enough.
const (
	grave = true
	note  = false
)

// list gathers findings.
type list struct{ found []Finding }

// add says what is wrong with a server, none if that is nobody's; other is whom the remedy means besides.
func (l *list) add(id problem.ID, weight bool, server, other, text string, args ...any) {
	l.found = append(l.found, remedied(Finding{ID: id, Grave: weight, Server: server, Text: fmt.Sprintf(text, args...)}, other))
}

// server says what one server has to do with: its place in the cluster, what it tells of itself, whom it does not reach.
func (l *list) server(r record.Record, report Report, s Server, a Answer, now time.Time) {
	own := func(id problem.ID, part string, weight bool, text string, args ...any) {
		f := Finding{ID: id, Grave: weight, Server: s.Name, Part: part, Text: fmt.Sprintf(text, args...)}
		l.found = append(l.found, remedied(f, r.FS.Name))
	}
	failed := r.Role(s.Name) == record.RoleFailed
	switch {
	case failed && !s.Answers:
		own(FailedServer, "", note, "%s has failed and does not answer: %s", s.Name, s.Problem)
	case failed:
		own(ReturningServer, s.part, note, "%s has failed, answers, and is not back yet: %s", s.Name, firstOf(s.Problem, "being brought up to date"))
		f := &l.found[len(l.found)-1]
		its := remedied(Finding{ID: known(s.ProblemID, UnestablishedRole), Server: s.Name, Part: s.part}, r.FS.Name)
		f.Do = strings.ReplaceAll(f.Do, "{remedy}", its.Do)
	case !s.Answers && report.muffled[s.Name]: // whoever sends it large packets says so
	case !s.Answers:
		own(known(s.ProblemID, SilentServer), s.part, grave, "%s does not answer: %s", s.Name, s.Problem)
	case s.Generation < r.Generation:
		own(OldGeneration, "", grave, "%s has generation %d, not %d", s.Name, s.Generation, r.Generation)
	case !a.Details.Confirmed:
		own(UnconfirmedRecord, "", grave, "%s has not heard from a majority since it booted", s.Name)
	case s.Problem != "":
		own(s.ProblemID, s.part, grave, "%s: %s", s.Name, s.Problem)
	}
	for _, p := range a.Details.Problems {
		own(known(p.ID, ReportedProblem), p.Part, !p.Note && !failed, "%s: %s", s.Name, p.Text)
	}
	if s.Answers {
		l.connections(r, report, s.Name, a.Dial, now)
	}
	if a.Role.Aside != "" {
		own(FilesAside, a.Role.Aside, note, "%s came back with files that nobody else has; they are in %s", s.Name, a.Role.Aside)
	}
}

// muffling says that nothing but small packets gets to a server. One that is being cut off looks so once.
func muffling(peer string, f dial.Failure) bool {
	return peer != dial.FileServer && f.ProblemID == problem.SmallPackets && f.Again
}

// connections says which other servers a server does not reach for data, and whether its programs reach the share.
func (l *list) connections(r record.Record, report Report, server string, failures map[string]dial.Failure, now time.Time) {
	member := r.Role(server) != record.RoleFailed // else nothing is at risk
	for _, peer := range slices.Sorted(maps.Keys(failures)) {
		f := failures[peer]
		lasting := now.Sub(f.Since) > connectPatience || muffling(peer, f)
		_, unreached := failures[r.FS.Name] // which says more than that the share is not
		switch {
		case !lasting || peer == dial.FileServer && (unreached || !report.Leased || !member):
		case peer == dial.FileServer:
			l.add(UnopenedSession, grave, server, r.FS.Name, "programs on %s wait: no session of the share at %s: %s", server, r.FS.Name, f.Error)
		case (answered(report, peer) || report.muffled[peer]) && r.Role(peer) != record.RoleFailed:
			id := known(f.ProblemID, MissingConnection)
			if id == problem.SmallPackets && !muffling(peer, f) {
				id = MissingConnection
			}
			l.add(id, member, server, peer, "%s gets no data connection to %s: %s", server, peer, f.Error)
		}
	}
}

// replica says what is wrong with one copy.
func (l *list) replica(p Replica) {
	add := func(id problem.ID, weight bool, text string, args ...any) {
		l.add(id, weight, p.Name, p.FedBy, text, append([]any{p.Name, p.Place, p.Pair}, args...)...)
	}
	switch {
	case p.State == "":
		add(UnfedReplica, grave, "%s (%s of pair %d): %s does not feed it yet", p.FedBy)
	case p.State == mirror.Broken:
		add(BrokenReplica, grave, "%s (%s of pair %d) gets no changes: %s", p.Error)
	case p.State == mirror.Filling && p.Error != "":
		add(RecoveringReplica, note, "%s (%s of pair %d) is being filled again after: %s", p.Error)
	case p.State == mirror.Filling && p.Counts:
		add(ComparedReplica, note, "%s (%s of pair %d) was whole, and is compared with %s again", p.FedBy)
	case p.State == mirror.Filling:
		add(FillingReplica, note, "%s (%s of pair %d) is being filled")
	}
	if p.Held > 0 {
		add(HeldDeletes, grave, "%[4]d files that were deleted at once are kept on %[1]s (%[2]s of pair %[3]d)", p.Held)
	}
	if p.Scrub != nil && len(p.Scrub.Differed) > 0 {
		add(AlteredContent, note, "%s (%s of pair %d) had another content with the same size and time, now written anew: %s", strings.Join(p.Scrub.Differed, " "))
	}
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
