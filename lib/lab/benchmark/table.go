package benchmark

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Print writes a table for each work: medians, with / the 99th percentile of a long series, and in brackets the ratio to the baseline's median.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "Measured %s on %d processors, all guests on them. Medians; p50 / p99 of series; in brackets: how many times that of %s.\n",
		r.Started.Format("2006-01-02 15:04"), r.CPUs, Baseline)
	for _, work := range works {
		if err := r.table(w, work); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "\nSettings\n")
	for _, s := range r.Subjects {
		fmt.Fprintf(w, "  %-12s %s\n", s.Name, strings.Join(s.Settings, "; "))
	}
	if len(r.Failures) > 0 {
		fmt.Fprint(w, "\nWhat failed\n")
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "  %s, %s: %s\n", f.Subject, f.Work, f.Error)
	}
	if len(r.Complaints) > 0 {
		fmt.Fprint(w, "\nErrors in the journals of HAFS\n")
	}
	for _, line := range r.Complaints {
		fmt.Fprintf(w, "  %s\n", line)
	}
	return nil
}

func (r *Report) table(w io.Writer, work work) error {
	whats, subjects := r.axes(work.name)
	if len(subjects) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s: %s\n", work.name, work.title)
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, what := range whats {
		fmt.Fprintf(out, "\t(%d) %s", i+1, r.unit(work.name, what))
	}
	fmt.Fprint(out, "\t\n")
	for _, subject := range subjects {
		fmt.Fprint(out, subject)
		for _, what := range whats {
			fmt.Fprintf(out, "\t%s", r.cell(subject, work.name, what))
		}
		fmt.Fprint(out, "\t\n")
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for i, what := range whats {
		fmt.Fprintf(w, "  (%d) %s\n", i+1, what)
	}
	return nil
}

// axes are the series of a work, and the subjects that have any, both in the order in which they came.
func (r *Report) axes(work string) (whats, subjects []string) {
	for _, m := range r.Measurements {
		if m.Work != work {
			continue
		}
		if !slices.Contains(whats, m.What) {
			whats = append(whats, m.What)
		}
		if !slices.Contains(subjects, m.Subject) {
			subjects = append(subjects, m.Subject)
		}
	}
	return whats, subjects
}

func (r *Report) unit(work, what string) string {
	for _, m := range r.Measurements {
		if m.Work == work && m.What == what {
			return m.Unit
		}
	}
	return ""
}

func (r *Report) cell(subject, work, what string) string {
	m := r.find(subject, work, what)
	if m == nil {
		return "-"
	}
	text := number(m.P50)
	if m.P99 > 0 {
		text += " / " + number(m.P99)
	}
	if base := r.find(Baseline, work, what); base != nil && base.P50 > 0 && (m.Unit == "s" || m.Unit == "ms") && subject != Baseline {
		text += fmt.Sprintf(" [%s]", number(m.P50/base.P50))
	}
	return text
}
