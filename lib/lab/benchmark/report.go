package benchmark

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/google/renameio/v2"
)

// Report is build/bench/report.json.
type Report struct {
	Started      time.Time       `json:"started"`
	Ended        time.Time       `json:"ended,omitzero"` // zero: broken off
	CPUs         int             `json:"cpus"`
	Subjects     []SubjectReport `json:"subjects"`
	Measurements []Measurement   `json:"measurements"`
	Failures     []Failure       `json:"failures,omitempty"`
	Complaints   []string        `json:"complaints,omitempty"` // errors in the journals of HAFS
}

// SubjectReport is a subject that was measured.
type SubjectReport struct {
	Name     string   `json:"name"`
	Settings []string `json:"settings"`
}

// Measurement is one series.
type Measurement struct {
	Subject string    `json:"subject"`
	Work    string    `json:"work"`
	What    string    `json:"what"`
	Unit    string    `json:"unit"`
	P50     float64   `json:"p50"`
	P99     float64   `json:"p99,omitempty"` // of a series of 50 and more
	Max     float64   `json:"max"`
	Values  []float64 `json:"values"`
	Load    string    `json:"load"` // of the machine, over the minute before the last value
}

// Failure is a work that a subject did not do.
type Failure struct {
	Subject string `json:"subject"`
	Work    string `json:"work"`
	Error   string `json:"error"`
}

// add adds values to a series, and returns it as it is now.
func (r *Report) add(subject, work, what, unit, load string, values []float64) Measurement {
	m := r.find(subject, work, what)
	if m == nil {
		r.Measurements = append(r.Measurements, Measurement{Subject: subject, Work: work, What: what, Unit: unit})
		m = &r.Measurements[len(r.Measurements)-1]
	}
	for _, v := range values {
		m.Values = append(m.Values, math.Round(v*1e4)/1e4)
	}
	m.Load, m.P50, m.Max = load, Quantile(m.Values, 0.5), slices.Max(m.Values)
	if len(m.Values) >= seriesLength {
		m.P99 = Quantile(m.Values, 0.99)
	}
	return *m
}

func (r *Report) find(subject, work, what string) *Measurement {
	for i := range r.Measurements {
		if m := &r.Measurements[i]; m.Subject == subject && m.Work == work && m.What == what {
			return m
		}
	}
	return nil
}

// differences are what the medians of one subject in a work are above those of another, where both have any.
func (r *Report) differences(work, of, above string) []Measurement {
	var all []Measurement
	for _, m := range r.Measurements {
		if base := r.find(above, work, m.What); m.Work == work && m.Subject == of && base != nil {
			m.P50 -= base.P50
			all = append(all, m)
		}
	}
	return all
}

// String is the median, with the 99th percentile of a long series and the largest value of a short one.
func (m Measurement) String() string {
	switch {
	case m.P99 > 0:
		return fmt.Sprintf("%s / %s %s (p50 / p99 of %d)", number(m.P50), number(m.P99), m.Unit, len(m.Values))
	case len(m.Values) > 1:
		return fmt.Sprintf("%s %s (median of %d, largest %s)", number(m.P50), m.Unit, len(m.Values), number(m.Max))
	}
	return number(m.P50) + " " + m.Unit
}

// number has three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e6:
		return fmt.Sprintf("%.0f", v)
	case a < 1:
		return fmt.Sprintf("%.3f", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Save writes the report, whole or not at all.
func (r *Report) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(text, '\n'), 0o644)
}

// LoadReport reads one again.
func LoadReport(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}
