package guests

import "testing"

func TestHierarchiesOfEveryKindOfMachine(t *testing.T) {
	const (
		pure = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		both = "40 24 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
			"41 40 0:31 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n" +
			"42 40 0:32 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n" +
			"43 40 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
		borrowed = "44 40 0:33 /a /elsewhere rw - cgroup2 cgroup2 rw\n"
	)
	for text, want := range map[string]hierarchies{
		"":         {},
		pure:       {unified: "/sys/fs/cgroup"},
		both:       {"/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/freezer"},
		borrowed:   {},
		"garbage ": {},
	} {
		if got := findHierarchies(text); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}
