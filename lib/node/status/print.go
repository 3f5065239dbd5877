package status

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"hafs/lib/replication/mirror"
)

// Print shows the report to people.
func (report Report) Print(w io.Writer, now time.Time) error {
	lease := "lease held"
	if !answered(report, report.FS) {
		lease = "lease unknown"
	} else if !report.Leased {
		lease = "NO lease"
	}
	fmt.Fprintf(w, "cluster %s, generation %d, seen from %s; file sharing server %s (%s), virtual address %s; room %s\n\n",
		report.Cluster, report.Generation, report.SeenFrom, report.FS, lease, report.VirtualAddress, report.room())
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SERVER\tADDRESS\tROLE\tPAIR\tANSWERS\tGENERATION\tVERSION\tFOR\tREPLICA")
	for _, s := range report.Servers {
		answers := "no"
		if s.Answers {
			answers = fmt.Sprintf("%.1f ms", s.RTTms)
		}
		age := ""
		if !s.Since.IsZero() {
			age = now.Sub(s.Since).Round(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Address, s.Role, number(uint64(s.Pair)), answers, number(s.Generation), s.Version, age, report.replicaText(s.Name, now))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(report.Findings) == 0 {
		_, err := fmt.Fprintln(w, "\nall is well")
		return err
	}
	fmt.Fprintln(w)
	for _, f := range report.Findings {
		mark := "note "
		if f.Grave {
			mark = "WRONG"
		}
		fmt.Fprintf(w, "%s %s\n      -> %s\n", mark, f.Text, f.Do)
	}
	return nil
}

func (report Report) replicaText(name string, now time.Time) string {
	for _, p := range report.Replicas {
		if p.Name != name {
			continue
		}
		switch {
		case p.State == "":
			return "not fed"
		case p.State == mirror.Complete && p.Pending > 0:
			return fmt.Sprintf("complete, %d pending", p.Pending)
		case p.State == mirror.Complete && p.Scrub != nil:
			return fmt.Sprintf("complete, scrubbed %s ago", now.Sub(p.Scrub.Ended).Round(time.Minute))
		case p.State != mirror.Complete && p.Comparison != nil:
			return string(p.State) + ", " + p.Comparison.Text(now)
		}
		return string(p.State)
	}
	return ""
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (report Report) room() string {
	switch bytes := report.RoomBytes; {
	case !report.roomKnown:
		return "unknown"
	case bytes >= 10<<30:
		return fmt.Sprintf("%d GiB", bytes>>30)
	default:
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
}

// Grave says whether anything is wrong that needs somebody.
func (report Report) Grave() bool {
	for _, f := range report.Findings {
		if f.Grave {
			return true
		}
	}
	return false
}
