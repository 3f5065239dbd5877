package session

import (
	"fmt"
	"strings"

	"hafs/lib/host/problem"
)

// reason says in HAFS's words what an operator has to mend; golang.org/x/crypto/ssh has no error types for these.
func reason(name string, err error) error {
	for _, known := range []struct {
		theirs, ours string
		id           problem.ID
	}{
		{"unable to authenticate", "%s refuses our key (is it in authorized_keys there?)", problem.RefusedKey},
		{"not in the set of valid principals", "whoever answers there is not %s", problem.HostCertificate},
		{"no authorities for hostname", "the host certificate of %s is signed by nobody we trust", problem.HostCertificate},
		{"no common algorithm for host key", "%s has no host certificate", problem.HostCertificate},
		{"cert has expired", "the host certificate of %s has expired", problem.HostCertificate},
	} {
		if strings.Contains(err.Error(), known.theirs) {
			return problem.As(known.id, fmt.Errorf(known.ours+": %w", name, err))
		}
	}
	return err
}
