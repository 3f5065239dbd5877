package mirror

import (
	"errors"
	"testing"
)

func TestRsyncsComplaints(t *testing.T) {
	const summary = "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.2.7]\n"
	for _, c := range []struct {
		name     string
		status   int
		stderr   string
		vanished bool
	}{
		{"a file that is gone", 24, "file has vanished: \"/share/f\"\nrsync warning: some files vanished before they could be transferred (code 24)\n", true},
		{"a directory in the place of a file", 23, "rsync: [receiver] rename \"/copy/.f.x\" -> \"f\": Is a directory (21)\n" + summary, true},
		{"a file in the place of a directory", 23, "rsync: [sender] opendir \"/share/d\" failed: Not a directory (20)\nIO error encountered -- skipping file deletion\n" + summary, true},
		{"a symbolic link in the place of a file", 23, "rsync: [sender] send_files failed to open \"/share/f\": Too many levels of symbolic links (40)\n" + summary, true},
		{"a symbolic link where none may be", 23, "rsync: [receiver] open \"/copy/f\" failed: Too many levels of symbolic links (40)\n" + summary, false},
		{"a disk that cannot be read", 23, "rsync: [sender] read errors mapping \"/share/f\": Input/output error (5)\n" + summary, false},
		{"a file that was cut short while it was read", 23, "rsync: [sender] read errors mapping \"/share/f\": No data available (61)\n" + summary, true},
		{"one of several is grave", 23, "file has vanished: \"/share/f\"\nrsync: [receiver] chown \"/copy/g\" failed: Operation not permitted (1)\n" + summary, false},
		{"nothing but the summary", 23, summary, false},
		{"another status", 12, "file has vanished: \"/share/f\"\n", false},
	} {
		if err := rsyncResult(c.status, c.stderr); err == nil || errors.Is(err, ErrVanished) != c.vanished {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
