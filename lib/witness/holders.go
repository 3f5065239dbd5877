package witness

import "hafs/lib/lab"

// Holders lists the guests that have an address at this moment, frozen ones and those that are cut off included.
func Holders(l *lab.Lab, ip string) []string {
	var names []string
	for _, m := range lab.Members() {
		if leader := l.Leader(m); leader != 0 && hasAddress(leader, ip) {
			names = append(names, m.Name)
		}
	}
	return names
}
