package promote

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print says the explanation in words.
func (e Explanation) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "If %s failed now, generation %d of cluster %s would follow %d.\n", list(e.Gone), e.Next.Generation, e.Cluster, e.Generation)
	if len(e.Silent) > 0 {
		fmt.Fprintf(t, "Not answering either, so failed in the same generation: %s.\n", list(e.Silent))
	}
	fmt.Fprintf(t, "\n  file sharing server\t%s\n", e.Next.FS)
	for i, p := range e.Next.Pairs {
		fmt.Fprintf(t, "  pair %d\t%s, %s\n", i+1, p.DRS1, p.DRS2)
	}
	fmt.Fprintf(t, "  spares\t%s\n  failed\t%s\n", list(e.Next.Spares), list(e.Next.Failed))
	fmt.Fprintf(t, "\nWhy:\n")
	for _, c := range e.Changes {
		what := fmt.Sprintf("%s: %s", c.Server, c.From)
		if c.Server == "" {
			what = c.From
		}
		fmt.Fprintf(t, "  %s -> %s\t%s\n", what, c.To, c.Why)
	}
	fmt.Fprintf(t, "\nVotes:\n")
	for _, line := range e.Votes.words() {
		fmt.Fprintf(t, "  %s\n", line)
	}
	if e.Proposer == "" {
		fmt.Fprintf(t, "  nobody proposes it: the file sharing server and all DRS1s are gone; run hafs-promote failed on a server that is left\n")
	} else {
		fmt.Fprintf(t, "  %s proposes it\n", e.Proposer)
	}
	for _, c := range e.Changes {
		if c.To == "fs" {
			fmt.Fprintf(t, "  a voter replaces the file sharing server only when it has not heard it for the examination time\n")
		}
	}
	fmt.Fprintf(t, "  the change after it needs %d\n", e.Next.Needed)
	return t.Flush()
}

// words says whether the decision could be made, and by whom.
func (v Votes) words() []string {
	by := map[Answer][]string{}
	for _, voter := range v.Voters {
		by[voter.Answer] = append(by[voter.Answer], voter.Server)
	}
	verdict := "enough"
	if !v.Enough {
		verdict = "too few: nothing would be changed"
	}
	lines := []string{fmt.Sprintf("%d of %d members are needed, %d are left: %s", v.Needed, len(v.Voters), v.Left, verdict)}
	for _, group := range []struct {
		answer Answer
		text   string
	}{
		{AnswersYes, "would vote: "}, {AnswersUnknown, "not known whether they answer: "},
		{AnswersSilent, "do not answer: "}, {AnswersGone, "gone: "},
	} {
		if names := by[group.answer]; len(names) > 0 {
			lines = append(lines, group.text+list(names))
		}
	}
	return lines
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}
