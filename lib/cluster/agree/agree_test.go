package agree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/host/system"
	"hafs/lib/testkit/systemtest"
)

// Scenarios of counting: `members`, `votes` (a=yes b=no), `expect won|lost|pending`.
func TestCount(t *testing.T) {
	text, err := os.ReadFile("testdata/count.txt")
	if err != nil {
		t.Fatal(err)
	}
	var members []string
	answers := map[string]Answer{}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "members":
			members, answers = words[1:], map[string]Answer{}
		case "votes":
			for _, w := range words[1:] {
				name, vote, _ := strings.Cut(w, "=")
				answers[name] = Answer{Yes: vote == "yes"}
			}
		case "expect":
			got := map[Outcome]string{Pending: "pending", Won: "won", Lost: "lost"}[Count(members, answers)]
			if got != words[1] {
				t.Errorf("count.txt:%d: %s, want %s", i+1, got, words[1])
			}
			if slow := countSlowly(members, answers); slow != got {
				t.Errorf("count.txt:%d: the slow twin says %s", i+1, slow)
			}
		}
	}
}

// countSlowly tries every way in which the silent members may still vote.
func countSlowly(members []string, answers map[string]Answer) string {
	distinct := map[string]bool{}
	for _, m := range members {
		distinct[m] = true
	}
	var silent []string
	yes := 0
	for m := range distinct {
		if a, answered := answers[m]; !answered {
			silent = append(silent, m)
		} else if a.Yes {
			yes++
		}
	}
	everWon, everLost := false, false
	for mask := range 1 << len(silent) {
		total := yes
		for bit := range silent {
			total += mask >> bit & 1
		}
		if len(distinct) > 0 && 2*total > len(distinct) {
			everWon = true
		} else {
			everLost = true
		}
	}
	switch {
	case everWon && !everLost:
		return "won"
	case !everWon:
		return "lost"
	}
	return "pending"
}

func proposal(by string) record.Record {
	return record.Record{Cluster: "test", Generation: 2, FS: record.FileServer{Name: by}}
}

func members(n int) record.Record {
	r := record.Record{Cluster: "test", Generation: 1}
	for i := range n {
		r.Servers = append(r.Servers, record.Server{Name: fmt.Sprintf("s%d", i), Status: record.Active})
	}
	return r
}

// parliament is a set of voters in memory, reached over a network that loses and repeats what it likes. It remembers every record that
// a majority accepted under one ballot: more than one is the end of safety.
type parliament struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	loss     float64
	votes    map[string]Vote
	accepted map[Ballot]map[string]bool
	value    map[Ballot]string
}

func (p *parliament) deliver(server string, b Ballot, act func(Vote) (Vote, Answer)) (Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rnd.Float64() < p.loss {
		return Answer{}, errors.New("question lost")
	}
	repeat := 1 + p.rnd.IntN(2)
	var a Answer
	for range repeat {
		p.votes[server], a = act(p.votes[server])
		if v := p.votes[server]; a.Yes && v.Value != nil && v.Accepted == b {
			if p.accepted[b] == nil {
				p.accepted[b] = map[string]bool{}
			}
			p.accepted[b][server], p.value[b] = true, v.Value.FS.Name
		}
	}
	if p.rnd.Float64() < p.loss {
		return Answer{}, errors.New("answer lost")
	}
	return a, nil
}

func (p *parliament) Prepare(_ context.Context, server string, b Ballot, _ record.Record) (Answer, error) {
	return p.deliver(server, b, func(v Vote) (Vote, Answer) { return v.Prepare(b) })
}

func (p *parliament) Accept(_ context.Context, server string, b Ballot, value record.Record) (Answer, error) {
	return p.deliver(server, b, func(v Vote) (Vote, Answer) { return v.Accept(b, value) })
}

func (p *parliament) Install(context.Context, string, record.Record) error { return nil }

// I2: several proposers at once, messages lost and repeated, never two records.
func TestRivalsNeverChooseTwoRecords(t *testing.T) {
	finished := 0
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { finished += rival(t, seed) })
	}
	if finished < 300 {
		t.Fatalf("only %d of 900 proposers came to an end: the test shows little", finished)
	}
}

// rival lets three proposers compete and returns how many were told what was chosen.
func rival(t *testing.T, seed uint64) int {
	n := 3 + int(seed%7)
	p := &parliament{
		rnd: rand.New(rand.NewPCG(seed, 2)), loss: float64(seed%4) / 20,
		votes: map[string]Vote{}, accepted: map[Ballot]map[string]bool{}, value: map[Ballot]string{},
	}
	results := make([]string, 3)
	var proposing sync.WaitGroup
	for i := range results {
		proposing.Go(func() {
			name := fmt.Sprintf("s%d", i)
			if chosen, err := Choose(t.Context(), p, name, members(n), proposal(name)); err == nil {
				results[i] = chosen.FS.Name
			}
		})
	}
	proposing.Wait()
	synctest.Wait() // questions that nobody waits for any more
	p.mu.Lock()
	defer p.mu.Unlock()
	chosen := map[string]bool{}
	for b, voters := range p.accepted {
		if len(voters) > n/2 {
			chosen[p.value[b]] = true
		}
	}
	told := 0
	for _, name := range results {
		if name == "" {
			continue
		}
		told++
		if !chosen[name] {
			t.Fatalf("seed %d: a proposer was told %s, which no majority accepted", seed, name)
		}
	}
	if len(chosen) > 1 {
		t.Fatalf("seed %d: chosen %v", seed, chosen)
	}
	return told
}

func TestProposerFinishesWhatIsHalfChosen(t *testing.T) {
	first := proposal("s0")
	promises := map[string]Answer{
		"s0": {Yes: true, Accepted: Ballot{Round: 3, Proposer: "s0"}, Value: &first},
		"s1": {Yes: true},
	}
	if got := Value(promises, proposal("s1")); got.FS.Name != "s0" {
		t.Fatal("a record that may be chosen already was passed over for", got.FS.Name)
	}
}

func TestBallotIsNotUsedTwice(t *testing.T) {
	b := Ballot{Round: 1, Proposer: "s0"}
	v, a := Vote{Generation: 2}.Prepare(b)
	if !a.Yes {
		t.Fatal("the first prepare was refused")
	}
	if _, a := v.Prepare(b); a.Yes {
		t.Fatal("a proposer that restarted may use its ballot again, with another record")
	}
}

// A vote that stops at any step is either the old one or the new one, and a damaged one is not taken for an empty one.
func TestVoteStoppedAnywhere(t *testing.T) {
	before := Vote{Generation: 2, Promised: Ballot{Round: 1, Proposer: "s0"}}
	after := Vote{Generation: 2, Promised: Ballot{Round: 2, Proposer: "s1"}}
	for stop := range 4 {
		path := filepath.Join(t.TempDir(), "vote.json")
		if err := (Store{Path: path}).Save(before); err != nil {
			t.Fatal(err)
		}
		script, m := systemtest.StopAt(stop)
		err := Store{Machine: m, Path: path}.Save(after)
		if (err == nil) != (stop == 3) {
			t.Fatalf("stop %d: %v after %v", stop, err, script.Steps)
		}
		got, err := Store{Machine: system.Machine{}, Path: path}.Load(2)
		if err != nil || got != before && got != after {
			t.Fatalf("stop %d: %v %v", stop, got, err)
		}
	}
	path := filepath.Join(t.TempDir(), "vote.json")
	if err := os.WriteFile(path, []byte(`{"generation": 2, "promi`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Store{Path: path}).Load(2); err == nil {
		t.Fatal("a damaged vote was read as no vote: the promise is forgotten")
	}
}

// asked is a proposal of s0 among five, with one kind of answer from some members to what it asks now.
func asked(p *Proposal, a Answer, from ...string) {
	phase, ballot, _ := p.Question()
	for _, name := range from {
		p.Hear(name, phase, ballot, a)
	}
}

func phase(p *Proposal) Phase {
	now, _, _ := p.Question()
	return now
}

func start() *Proposal {
	return NewProposal("s0", members(5), proposal("s0"), func(limit time.Duration) time.Duration { return limit / 2 })
}

func TestProposalIsDecidedByTwoMajorities(t *testing.T) {
	p := start()
	asked(p, Answer{Yes: true}, "s0", "s1")
	if phase(p) != Preparing {
		t.Fatal("two of five are no majority")
	}
	other := proposal("s3")
	asked(p, Answer{Yes: true, Accepted: Ballot{Round: 1, Proposer: "s3"}, Value: &other}, "s2")
	if _, _, value := p.Question(); phase(p) != Accepting || value.FS.Name != "s3" {
		t.Fatal("what is half chosen is not finished:", phase(p), value.FS.Name)
	}
	asked(p, Answer{Yes: true}, "s0", "s1", "s2")
	if got, err := p.Result(); phase(p) != Decided || err != nil || got.FS.Name != "s3" {
		t.Fatal(phase(p), got.FS.Name, err)
	}
}

func TestProposalIgnoresAnswersToEarlierQuestions(t *testing.T) {
	p := start()
	_, first, _ := p.Question()
	asked(p, Answer{Promised: Ballot{Round: 4, Proposer: "s1"}}, "s1", "s2", "s3")
	if phase(p) != Waiting || p.Pause() == 0 {
		t.Fatal("outbid, it must wait for its rival:", phase(p), p.Pause())
	}
	p.Resume()
	if _, b, _ := p.Question(); b.Compare(Ballot{Round: 4, Proposer: "s1"}) <= 0 {
		t.Fatal("the next ballot does not exceed the rival's:", b)
	}
	for _, name := range []string{"s0", "s1", "s2"} {
		p.Hear(name, Preparing, first, Answer{Yes: true})
	}
	if phase(p) != Preparing {
		t.Fatal("late promises to an earlier ballot were counted")
	}
	asked(p, Answer{Yes: true}, "s0", "s1", "s2")
	_, second, _ := p.Question()
	for _, name := range []string{"s0", "s1", "s2"} {
		p.Hear(name, Preparing, second, Answer{Yes: true})
	}
	if phase(p) != Accepting {
		t.Fatal("promises were counted as votes")
	}
}

func TestProposalGivesUpWithoutAMajority(t *testing.T) {
	p := start()
	asked(p, Answer{Yes: true}, "s0", "s1")
	p.Close()
	if _, err := p.Result(); phase(p) != GaveUp || !errors.Is(err, ErrNoMajority) {
		t.Fatal(phase(p), err)
	}
}

func TestProposalLearnsWhatIsChosenAlready(t *testing.T) {
	p := start()
	asked(p, Answer{Yes: true}, "s0", "s1", "s2")
	other := proposal("s3")
	asked(p, Answer{Reason: "has generation 2 already", Chosen: &other}, "s4")
	if got, err := p.Result(); phase(p) != Decided || err != nil || got.FS.Name != "s3" {
		t.Fatal(phase(p), err)
	}
}
