package promote

import (
	"errors"
	"fmt"
	"slices"

	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
)

// Explanation is what would follow if servers failed now. It foretells package repair and package agree; it decides nothing.
type Explanation struct {
	Cluster    string   `json:"cluster"`
	Generation uint64   `json:"generation"` // the current one
	Gone       []string `json:"gone"`       // as asked
	Silent     []string `json:"silent"`     // members that do not answer either: whoever repairs the record sees that, and they fail with the gone
	Next       Outcome  `json:"next"`
	Changes    []Change `json:"changes"`
	Votes      Votes    `json:"votes"`
	Proposer   string   `json:"proposer"` // who would propose it; empty: nobody left does so by itself
}

// Outcome is the record that would follow.
type Outcome struct {
	Generation uint64        `json:"generation"`
	FS         string        `json:"fs"`
	Pairs      []OutcomePair `json:"pairs"` // in the order of the record; either place may be in trouble
	Spares     []string      `json:"spares"`
	Failed     []string      `json:"failed"`
	Needed     int           `json:"votes_needed"` // for the generation after it
}

// OutcomePair is one pair of it.
type OutcomePair struct {
	DRS1 string `json:"drs1"`
	DRS2 string `json:"drs2"`
}

// Change is one difference between the two records, and its reason. Server is empty when it is a place that nobody fills any more.
type Change struct {
	Server string `json:"server,omitempty"`
	From   string `json:"from"`
	To     string `json:"to"`
	Why    string `json:"why"`
}

// Votes is who decides, and whether that is possible. The voters are the members of the current generation, the gone among them: their
// silence counts against every majority.
type Votes struct {
	Voters []Voter `json:"voters"`
	Needed int     `json:"needed"`
	Left   int     `json:"left"`   // who are neither gone nor silent; not all of them need to be known to answer
	Known  bool    `json:"known"`  // it is known of all of them whether they answer
	Enough bool    `json:"enough"` // Left is a majority
}

// Answer says whether a member would vote.
type Answer string

const (
	AnswersYes     Answer = "answers"
	AnswersGone    Answer = "gone"
	AnswersSilent  Answer = "silent"
	AnswersUnknown Answer = "unknown"
)

// Voter is one member of the current generation.
type Voter struct {
	Server string `json:"server"`
	Answer Answer `json:"answer"`
}

// Explain says what would follow in record r if the servers gone failed now. alive says of the members whether they answer; one that is not in it
// is not known to. A nil alive means that nothing is known; positions are what the replicas answered. Without a record that could follow the answer is a repair.Refusal.
func Explain(r record.Record, gone []string, alive map[string]bool, positions repair.Positions) (Explanation, error) {
	if err := askable(r, gone); err != nil {
		return Explanation{}, err
	}
	e := Explanation{Cluster: r.Cluster, Generation: r.Generation, Gone: gone, Silent: silent(r, gone, alive)}
	left := slices.Concat(gone, e.Silent)
	next, err := repair.Repair(r, left, positions)
	var refusal repair.Refusal
	if errors.As(err, &refusal) && len(e.Silent) > 0 {
		return Explanation{}, repair.Refusal{Reason: fmt.Sprintf("%s (%s not answering either)", refusal.Reason, list(e.Silent))}
	} else if err != nil {
		return Explanation{}, err
	}
	e.Votes = votes(r, gone, alive)
	e.Next = outcome(next)
	e.Changes = reasons{before: r, after: next, gone: gone, positions: positions}.changes()
	if watchers := slices.DeleteFunc(r.Watchers(), func(w string) bool { return slices.Contains(left, w) }); len(watchers) > 0 {
		e.Proposer = watchers[0]
	}
	return e, nil
}

// silent are the members that are not said to be gone and do not answer.
func silent(r record.Record, gone []string, alive map[string]bool) []string {
	names := []string{}
	for _, m := range r.Members() {
		if answers, known := alive[m]; known && !answers && !slices.Contains(gone, m) {
			names = append(names, m)
		}
	}
	return names
}

// askable refuses questions that can only be a mistake.
func askable(r record.Record, gone []string) error {
	if len(gone) == 0 {
		return repair.Refusal{Reason: "no server is named"}
	}
	for i, name := range gone {
		switch {
		case r.Role(name) == record.RoleNone:
			return repair.Refusal{Reason: fmt.Sprintf("%s is not in the server list", name)}
		case r.Role(name) == record.RoleFailed:
			return repair.Refusal{Reason: fmt.Sprintf("%s has failed already in generation %d", name, r.Generation)}
		case slices.Contains(gone[:i], name):
			return repair.Refusal{Reason: fmt.Sprintf("%s is named twice", name)}
		}
	}
	return nil
}

func votes(r record.Record, gone []string, alive map[string]bool) Votes {
	v := Votes{Needed: r.Majority(), Known: true}
	for _, m := range r.Members() {
		answers, known := alive[m]
		voter := Voter{Server: m, Answer: AnswersUnknown}
		switch {
		case slices.Contains(gone, m):
			voter.Answer = AnswersGone
		case known && answers:
			voter.Answer = AnswersYes
		case known:
			voter.Answer = AnswersSilent
		default:
			v.Known = false
		}
		if voter.Answer == AnswersYes || voter.Answer == AnswersUnknown {
			v.Left++
		}
		v.Voters = append(v.Voters, voter)
	}
	v.Enough = v.Left >= v.Needed
	return v
}

func outcome(r record.Record) Outcome {
	o := Outcome{Generation: r.Generation, FS: r.FS.Name, Spares: []string{}, Failed: []string{}, Needed: r.Majority()}
	for _, p := range r.Pairs {
		o.Pairs = append(o.Pairs, OutcomePair(p))
	}
	o.Spares = append(o.Spares, r.WithStatus(record.Spare)...)
	o.Failed = append(o.Failed, r.WithStatus(record.Failed)...)
	return o
}
