package guests

import (
	"fmt"
	"slices"
	"strings"
)

// Cut is a cable that is cut. Without To it is the cable of From, to everybody and to the machine itself. With To it is
// the path between the two, or only what From sends to To when OneWay is set.
type Cut struct {
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	OneWay bool   `json:"one_way,omitempty"`
}

func (c Cut) String() string {
	switch {
	case c.To == "":
		return c.From + " from all"
	case c.OneWay:
		return c.From + " -> " + c.To
	default:
		return c.From + " - " + c.To
	}
}

func (c Cut) touches(name string) bool { return c.From == name || c.To == name }

// isolated is whether a guest reaches nobody.
func isolated(cuts []Cut, name string) bool { return slices.Contains(cuts, Cut{From: name}) }

// AddCut is the cuts with one more. The same cut twice is one cut.
func AddCut(cuts []Cut, c Cut) []Cut {
	if slices.Contains(cuts, c) {
		return cuts
	}
	return append(slices.Clone(cuts), c)
}

// HealCuts is the cuts without those that touch one of the names; without a name all are healed.
func HealCuts(cuts []Cut, names ...string) []Cut {
	left := []Cut{}
	for _, c := range cuts {
		if len(names) > 0 && !slices.ContainsFunc(names, c.touches) {
			left = append(left, c)
		}
	}
	return left
}

const table = "hafs_lab"

// Rules is the nftables text that puts the cuts in force, in place of whatever was in force before, in one transaction.
// Cuts name interfaces and not addresses, so that ARP is cut as well and a guest stays cut when it is started again.
func Rules(cuts []Cut) string {
	var forward, input, output []string
	for _, c := range cuts {
		from, to := Member{Name: c.From}.Interface(), Member{Name: c.To}.Interface()
		switch {
		case c.To == "":
			forward = append(forward, fmt.Sprintf("iifname %q drop", from), fmt.Sprintf("oifname %q drop", from))
			input = append(input, fmt.Sprintf("iifname %q drop", from))
			output = append(output, fmt.Sprintf("oifname %q drop", from))
		default:
			forward = append(forward, fmt.Sprintf("iifname %q oifname %q drop", from, to))
			if !c.OneWay {
				forward = append(forward, fmt.Sprintf("iifname %q oifname %q drop", to, from))
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table bridge %s\ndelete table bridge %s\n", table, table)
	fmt.Fprintf(&b, "table bridge %s {\n", table)
	for _, chain := range []struct {
		hook  string
		rules []string
	}{{"forward", forward}, {"input", input}, {"output", output}} {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority 0; policy accept;\n", chain.hook, chain.hook)
		for _, rule := range chain.rules {
			fmt.Fprintf(&b, "\t\t%s\n", rule)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}
