// Package status is what an operator looks at: the record, what every server says of itself, and from both what is wrong and what to do.
//
// report.go and findings.go are pure; gather.go asks, print.go shows.
package status

import (
	"time"

	"hafs/lib/client/dial"
	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/host/problem"
	"hafs/lib/node/role"
	"hafs/lib/replication/mirror"
)

// Answer is what one server said of itself, or why it did not.
type Answer struct {
	Details link.Details
	Role    role.State
	Mirror  mirror.Status
	Dial    map[string]dial.Failure // data connections that fail, by server
	RTT     time.Duration
	Err     error
}

// Report is the state of a cluster, as seen from one server.
type Report struct {
	Cluster        string    `json:"cluster"`
	Generation     uint64    `json:"generation"`
	SeenFrom       string    `json:"seen_from"`
	FS             string    `json:"fs"`
	Leased         bool      `json:"leased"` // FS has its lease: it serves
	VirtualAddress string    `json:"virtual_address"`
	RoomBytes      uint64    `json:"room_bytes"` // what may still be written: the smallest, over the servers, of half the free space (paper 3.1)
	Servers        []Server  `json:"servers"`
	Replicas       []Replica `json:"replicas"`
	Findings       []Finding `json:"findings"`

	roomKnown bool
	muffled   map[string]bool // servers that somebody reaches with small packets only; they answer no question whose answer is long
	fullest   string          // the server that bounds the room
}

// Server is one row of the report.
type Server struct {
	Name       string  `json:"name"`
	Address    string  `json:"address"`
	Role       string  `json:"role"`
	Pair       int     `json:"pair,omitempty"` // from 1
	Answers    bool    `json:"answers"`
	RTTms      float64 `json:"rtt_ms,omitempty"`
	Generation uint64  `json:"generation,omitempty"`
	Version    string  `json:"version,omitempty"` // of its release
	// ExaminationMS is its examination time; 0: it does not say.
	ExaminationMS int64     `json:"examination_ms,omitempty"`
	Since         time.Time `json:"since,omitzero"` // of the role
	FreeBytes     uint64    `json:"free_bytes,omitempty"`
	Problem       string    `json:"problem,omitempty"`
	// ProblemID is what the remedy goes by.
	ProblemID problem.ID `json:"problem_id,omitempty"`

	part string // that has the problem
}

// Replica is one copy and how far it is.
type Replica struct {
	Name    string       `json:"name"`
	FedBy   string       `json:"fed_by"`
	Pair    int          `json:"pair"`
	Place   string       `json:"place"`
	State   mirror.State `json:"state"`  // empty: its feeder says nothing of it
	Counts  bool         `json:"counts"` // it has been whole, so that changes wait for it
	Number  uint64       `json:"number"` // position: changes up to this one, as its feeder counts, are on it
	Pending int          `json:"pending"`
	Held    int          `json:"held,omitempty"` // deletes that are held back
	Error   string       `json:"error,omitempty"`
	// Comparison is one of everything that is under way, Scrub the last one of contents.
	Comparison *mirror.Progress `json:"comparison,omitempty"`
	Scrub      *mirror.Scrub    `json:"scrub,omitempty"`
	Lacks      []mirror.Lack    `json:"lacks,omitempty"`   // paths it does not have as its feeder has them, the first of them
	Lacking    int              `json:"lacking,omitempty"` // how many those are in all
}

// Finding is one thing that is wrong, and what to do about it.
type Finding struct {
	ID     problem.ID `json:"id"`    // docs/status.md lists them
	Grave  bool       `json:"grave"` // false: nothing is lost or at risk now
	Server string     `json:"server,omitempty"`
	Part   string     `json:"part,omitempty"` // of the server: a unit, a directory, a path
	Text   string     `json:"text"`
	Do     string     `json:"do"`
}

// Compile makes the report.
func Compile(r record.Record, self string, answers map[string]Answer, now time.Time) Report {
	fs := answers[r.FS.Name]
	report := Report{
		Cluster: r.Cluster, Generation: r.Generation, SeenFrom: self,
		FS: r.FS.Name, Leased: fs.Err == nil && fs.Details.Leased, VirtualAddress: r.FS.VirtualAddress, muffled: map[string]bool{},
	}
	for _, s := range r.Servers {
		a := answers[s.Name]
		row := Server{Name: s.Name, Address: s.Address, Role: string(r.Role(s.Name)), Pair: r.PairOf(s.Name) + 1, Answers: a.Err == nil}
		if a.Err != nil {
			row.Problem, row.ProblemID, row.part = a.Err.Error(), problem.Of(a.Err), problem.PartOf(a.Err)
		} else {
			row.RTTms = float64(a.RTT.Microseconds()) / 1000
			row.Generation, row.Since, row.FreeBytes = a.Details.Facts.Generation, a.Role.Since, a.Details.FreeBytes
			row.Version, row.ExaminationMS = a.Details.Facts.Version, a.Details.Facts.Examination.Milliseconds()
			row.tell(a)
			if room := a.Details.FreeBytes / 2; s.Status != record.Failed && a.Details.SizeBytes > 0 && (!report.roomKnown || room < report.RoomBytes) {
				report.RoomBytes, report.fullest, report.roomKnown = room, s.Name, true
			}
		}
		report.Servers = append(report.Servers, row)
	}
	for i, p := range r.Pairs {
		report.addReplica(answers, p.DRS1, r.FS.Name, "drs1", i+1)
		report.addReplica(answers, p.DRS2, p.DRS1, "drs2", i+1)
	}
	for _, a := range answers {
		for peer, f := range a.Dial {
			if muffling(peer, f) {
				report.muffled[peer] = true
			}
		}
	}
	report.Findings = findings(r, report, answers, now)
	return report
}

// tell notes the problem that a server tells of itself: its disk's before its role's.
func (row *Server) tell(a Answer) {
	f := a.Details.Facts
	if f.Problem != "" {
		row.Problem, row.ProblemID, row.part = f.Problem, known(f.ProblemID, UnhealthyServer), f.ProblemPart
		return
	}
	if a.Role.Problem != "" {
		row.Problem, row.ProblemID = a.Role.Problem, known(a.Role.ProblemID, UnestablishedRole)
	}
}

func (report *Report) addReplica(answers map[string]Answer, name, feeder, place string, pair int) {
	if name == record.Trouble {
		return
	}
	row := Replica{Name: name, FedBy: feeder, Pair: pair, Place: place}
	for _, s := range answers[feeder].Mirror.Replicas {
		if s.Name == name {
			row.State, row.Counts, row.Number, row.Pending, row.Held, row.Error = s.State, s.Counts, s.Number, s.Pending, s.Held, s.Error
			row.Comparison, row.Scrub, row.Lacks, row.Lacking = s.Comparison, s.Scrub, s.Lacks, s.Lacking
		}
	}
	report.Replicas = append(report.Replicas, row)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
