package session

import (
	"fmt"
	"strings"
)

// reason says in HAFS's words what an operator has to mend; golang.org/x/crypto/ssh has no error types for these.
func reason(name string, err error) error {
	for _, known := range []struct{ theirs, ours string }{
		{"unable to authenticate", "%s refuses our key (is it in authorized_keys there?)"},
		{"not in the set of valid principals", "whoever answers there is not %s"},
		{"no authorities for hostname", "the host certificate of %s is signed by nobody we trust"},
		{"no common algorithm for host key", "%s has no host certificate"},
		{"cert has expired", "the host certificate of %s has expired"},
	} {
		if strings.Contains(err.Error(), known.theirs) {
			return fmt.Errorf(known.ours+": %w", name, err)
		}
	}
	return err
}
