package guests

import "strings"

// hierarchies are the mount points of the cgroup trees a guest is placed in; "" where the machine has none.
type hierarchies struct {
	unified string // version 2, alone or beside version 1
	systemd string // version 1, named systemd
	freezer string // version 1
}

// findHierarchies reads the text of /proc/self/mountinfo.
func findHierarchies(mountinfo string) hierarchies {
	var h hierarchies
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 5 || len(right) < 3 || left[3] != "/" {
			continue
		}
		point, options := left[4], ","+right[2]+","
		switch {
		case right[0] == "cgroup2":
			h.unified = point
		case right[0] == "cgroup" && strings.Contains(options, ",name=systemd,"):
			h.systemd = point
		case right[0] == "cgroup" && strings.Contains(options, ",freezer,"):
			h.freezer = point
		}
	}
	return h
}

// version1 are the trees that are joined by writing into a file, thread by thread.
func (h hierarchies) version1() []string {
	var all []string
	for _, point := range []string{h.systemd, h.freezer} {
		if point != "" {
			all = append(all, point)
		}
	}
	return all
}

func (h hierarchies) all() []string {
	if h.unified == "" {
		return h.version1()
	}
	return append(h.version1(), h.unified)
}
