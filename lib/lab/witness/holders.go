package witness

import "hafs/lib/lab/guests"

// Holders lists the guests that have an address at this moment, frozen ones and those that are cut off included.
func Holders(l *guests.Lab, ip string) []string {
	var names []string
	for _, m := range guests.Members() {
		if leader := l.Leader(m); leader != 0 && hasAddress(leader, ip) {
			names = append(names, m.Name)
		}
	}
	return names
}
