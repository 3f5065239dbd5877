package guests

import (
	"errors"
	"fmt"
	"strings"
)

const (
	BridgeAddress  = "10.77.0.1" // the machine's own end, inside the namespace
	VirtualAddress = "10.77.0.100"
	prefixLength   = 24
)

// ErrUnknown is what asking for a guest that does not exist comes to.
var ErrUnknown = errors.New("no such guest")

// Member is what is fixed about a guest.
type Member struct {
	Name    string
	Address string
}

// Interface is the machine's end of the guest's cable. systemd-nspawn names it.
func (m Member) Interface() string { return "vb-" + m.Name }

// Members are the nine guests of the paper's experiment.
func Members() []Member {
	var all []Member
	for row, letter := range []string{"L", "M", "W"} {
		for n := 1; n <= 3; n++ {
			all = append(all, Member{
				Name:    fmt.Sprintf("%s%d", letter, n),
				Address: fmt.Sprintf("10.77.0.%d", 10*(row+1)+n),
			})
		}
	}
	return all
}

// Find is the guest of that name, ErrUnknown for any other.
func Find(name string) (Member, error) {
	var known []string
	for _, m := range Members() {
		if m.Name == name {
			return m, nil
		}
		known = append(known, m.Name)
	}
	return Member{}, fmt.Errorf("%q: %w (there are %s)", name, ErrUnknown, strings.Join(known, " "))
}

// FindAll looks up every name; no name at all means every guest.
func FindAll(names []string) ([]Member, error) {
	if len(names) == 0 {
		return Members(), nil
	}
	var found []Member
	for _, name := range names {
		m, err := Find(name)
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}

func bridge(netns string) string { return netns + "0" }
