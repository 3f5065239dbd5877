// Package link keeps the links between servers: one SSH session per watcher and peer, apart from all data, that carries heartbeats
// and the few questions servers ask each other. From the answers follows the verdict that a peer lives or is lost.
//
// verdict.go and decide.go are pure; conn.go carries messages, peer.go keeps one link, daemon.go is hafs-linkcheck.
package link

import (
	"cmp"
	"fmt"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/problem"
)

// Kind of a question.
type Kind string

const (
	Beat    Kind = "beat"    // are you alive and well?
	Fetch   Kind = "fetch"   // your newest generation
	Prepare Kind = "prepare" // agree: promise
	Accept  Kind = "accept"  // agree: vote
	Install Kind = "install" // this generation was chosen
	Inquire Kind = "inquire" // all you know of yourself
	Locate  Kind = "locate"  // how far is your copy of the share?
	View    Kind = "view"    // local only: what hafs-linkcheck knows of its peers
)

// Request is a question, one line of JSON.
type Request struct {
	ID         uint64         `json:"id"`
	Kind       Kind           `json:"kind"`
	To         string         `json:"to,omitempty"` // only on the local socket: whom hafs-linkcheck shall ask
	Cluster    string         `json:"cluster,omitempty"`
	Generation uint64         `json:"generation,omitempty"` // newest the sender has
	Healthy    bool           `json:"healthy,omitempty"`    // with a beat: the sender's disk works
	Lease      uint64         `json:"lease,omitempty"`      // with a beat: the lease FS asks for; with a vote: the one it gave up to hand its role over
	Ballot     *agree.Ballot  `json:"ballot,omitempty"`
	Record     *record.Record `json:"record,omitempty"`
	// Examination is the sender's examination time; 0: its release is older than that it is said.
	Examination time.Duration `json:"examination_ns,omitempty"`
}

// Reply is the answer to the request with the same ID.
type Reply struct {
	ID    uint64 `json:"id"`
	Error string `json:"error,omitempty"`
	// ProblemID and ProblemPart are the error's; empty: it has none, or the answer is of an older release.
	ProblemID   problem.ID      `json:"problem_id,omitempty"`
	ProblemPart string          `json:"problem_part,omitempty"`
	Facts       *Facts          `json:"facts,omitempty"`
	Record      *record.Record  `json:"record,omitempty"`
	Answer      *agree.Answer   `json:"answer,omitempty"`
	View        map[string]Peer `json:"view,omitempty"`
	Details     *Details        `json:"details,omitempty"`
	// Position of the copy; none when it is not fed by a stream, or was not yet.
	Position *repair.Position `json:"position,omitempty"`
}

// Facts are what a server says of itself with every heartbeat.
type Facts struct {
	Cluster    string `json:"cluster"`
	Generation uint64 `json:"generation"`
	Healthy    bool   `json:"healthy"`           // a write to the share's file system succeeded lately
	Problem    string `json:"problem,omitempty"` // why it is not healthy
	// ProblemID and ProblemPart are the id of the problem and the directory that has it; empty: of an older release.
	ProblemID   problem.ID `json:"problem_id,omitempty"`
	ProblemPart string     `json:"problem_part,omitempty"`
	Fit         bool       `json:"fit,omitempty"`     // failed in the record, and ready to be taken back
	Voted       uint64     `json:"voted,omitempty"`   // has voted for this later generation: the answer counts for no lease of an earlier one
	Version     string     `json:"version,omitempty"` // of its release; empty: one that does not say it yet
	// FreeBytes and SizeBytes are of the share's file system; no size: it is not known.
	FreeBytes uint64 `json:"free_bytes,omitempty"`
	SizeBytes uint64 `json:"size_bytes,omitempty"`
	// Bare says in which way its directory does not hold the share; empty: it holds it.
	Bare gate.Bareness `json:"bare,omitempty"`
	// Examination is how long after it heard the question this server does not help to replace FS; 0: its release is older than that it is said.
	Examination time.Duration `json:"examination_ns,omitempty"`
	// Wanted is what its settings say, while it keeps to the one before because a member says none.
	Wanted time.Duration `json:"examination_wanted_ns,omitempty"`
}

// Peer is what hafs-linkcheck knows of another server.
type Peer struct {
	Verdict Verdict       `json:"verdict"`
	Silence time.Duration `json:"silence_ns"`           // since the last good answer was asked for
	RTT     time.Duration `json:"rtt_ns,omitempty"`     // of the last answer
	Heard   time.Duration `json:"heard_ns,omitempty"`   // since that server's own heartbeat came in; 0: never
	Facts   Facts         `json:"facts"`                // of the last answer
	Error   string        `json:"last_error,omitempty"` // of the last attempt to reach it
	// ProblemID is the error's.
	ProblemID problem.ID `json:"problem_id,omitempty"`
}

// loss says why a peer is lost: by the last attempt to reach it, or by what it said when that worked.
func (p Peer) loss(name string) error {
	if p.Error != "" {
		return problem.As(p.ProblemID, fmt.Errorf("%s is lost: %s", name, p.Error))
	}
	f := p.Facts
	return problem.On(f.ProblemPart, f.ProblemID, fmt.Errorf("%s is lost: %s", name, cmp.Or(f.Problem, "no answer")))
}
