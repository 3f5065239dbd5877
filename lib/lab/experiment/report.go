package experiment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"hafs/lib/lab/workload"
)

// Report is build/demo/report.json.
type Report struct {
	Settings Settings `json:"settings"`
	Runs     []Run    `json:"runs"`
	Returns  []Return `json:"returns,omitempty"` // the paper's section 5.2
}

// Settings are what was the same in all runs.
type Settings struct {
	Started          time.Time `json:"started"`
	ExaminationTimeS float64   `json:"examination_time_s"`
	Rounds           int       `json:"rounds"`
	ShareFiles       int       `json:"share_files"`
	ShareBytes       int64     `json:"share_bytes"`
	Client           string    `json:"client"`
	ClientIntervalMS float64   `json:"client_interval_ms"`
	Failure          string    `json:"failure"` // how a server is made to fail
	Guests           int       `json:"guests"`
	CPUs             int       `json:"cpus"`
}

// Run is one failure and its repair. All durations are in seconds.
type Run struct {
	Failed      string    `json:"failed"`
	Role        string    `json:"role"` // fs, drs1 or drs2
	How         string    `json:"how"`  // kill, freeze or cut
	Round       int       `json:"round"`
	FailedAt    time.Time `json:"failed_at"`
	Detected    float64   `json:"detected_s"`    // from the failure to its detection
	Chosen      float64   `json:"chosen_s"`      // from the detection until the generation was chosen
	Installed   float64   `json:"installed_s"`   // from the detection until all members had installed it
	Established float64   `json:"established_s"` // from the detection until all members had their roles
	Kept        float64   `json:"kept_s"`        // from the detection until the replicas that had been some before were complete; 0: their feeders stayed
	Recovered   float64   `json:"recovered_s"`   // from the detection until the structure was restored
	Generation  uint64    `json:"generation"`    // that repaired the failure

	ClientOutage     float64 `json:"client_outage_s"` // last good to first good operation
	ClientOps        int     `json:"client_ops"`      // after the failure
	ClientFailedOps  int     `json:"client_failed_ops"`
	SlowOps          int     `json:"slow_ops"` // good, but slower than 100 ms
	AcknowledgedOps  int     `json:"acknowledged_files"`
	LostFiles        int     `json:"lost_files"` // acknowledged before the failure, missing or different after
	LostOlderThan1s  int     `json:"lost_older_than_1s"`
	LostAcknowledged int     `json:"lost_acknowledged_later"` // acknowledged after the failure and lost nevertheless
	LostDifferent    int     `json:"lost_different"`          // of the lost ones: there, but with other bytes

	Readmitted float64 `json:"readmitted_s,omitempty"` // from power on until the server was taken back; 0: not measured

	gone  time.Time // when it could not answer any more: what was acknowledged until then was acknowledged by the one that failed
	log   []workload.Operation
	story Story
}

// Return is one run without spares, as in the paper's section 5.2.
type Return struct {
	Failed     string  `json:"failed"`
	Role       string  `json:"role"`
	BackAs     string  `json:"back_as"`    // role it was taken back in
	Round      int     `json:"round"`      //
	Returned   float64 `json:"returned_s"` // from the detection until it was back in the system, its replica complete
	StartTook  float64 `json:"start_s"`    // of it: from power on until the guest took a login
	PoweredOn  float64 `json:"power_on_s"` // from the detection until it was switched on again
	Generation uint64  `json:"generation"` // that took it back
	Detected   float64 `json:"detected_s"` // from the failure to its detection
}

// Save writes the report whole or not at all.
func (r Report) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, append(text, '\n'), 0o644)
}

// LoadReport reads a report that was saved.
func LoadReport(path string) (Report, error) {
	var r Report
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
