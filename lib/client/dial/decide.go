// Package dial keeps warm SSH connections for data and lends them: to sshfs, to rsync, and to the share's clients, whose sessions follow
// the file sharing server wherever it goes.
//
// decide.go is pure; keeper.go is hafs-dial --keep, call.go the ssh command that sshfs and rsync start, open.go what the daemons of this server
// open a session with.
package dial

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
)

// Reach lists the servers to which a server should have a connection at hand: all of them FS and its first successor; those in pairs their
// partner and the first spare; FS and the DRS1s all DRS1s, which whoever of them becomes FS has to feed; FS all DRS2s too, which move up.
func Reach(r record.Record, self string) []string {
	reach := []string{r.FS.Name}
	if drs1s := r.DRS1s(); len(drs1s) > 0 {
		reach = append(reach, drs1s[0])
	}
	role := r.Role(self)
	if role == record.RoleFS || role == record.RoleDRS1 {
		reach = append(reach, r.DRS1s()...)
	}
	if role == record.RoleFS {
		for _, p := range r.Pairs {
			reach = append(reach, p.DRS2)
		}
	}
	if i := r.PairOf(self); i >= 0 {
		reach = append(reach, r.Pairs[i].DRS1, r.Pairs[i].DRS2)
		if spares := r.WithStatus(record.Spare); len(spares) > 0 {
			reach = append(reach, spares[0])
		}
	}
	slices.Sort(reach)
	reach = slices.Compact(reach)
	return slices.DeleteFunc(reach, func(name string) bool { return name == self || name == record.Trouble })
}

// FileServer is the host name under which whoever is FS now is reached.
const FileServer = "fs"

var pairHost = regexp.MustCompile(`^S([0-9]+)$`)

// Resolve finds the server that a host name stands for: fs, S1 (the DRS1 of the first pair), or a server's own name.
func Resolve(r record.Record, host string) (record.Server, error) {
	name := host
	if host == FileServer {
		name = r.FS.Name
	} else if m := pairHost.FindStringSubmatch(host); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > len(r.Pairs) {
			return record.Server{}, fmt.Errorf("%s: there are %d pairs", host, len(r.Pairs))
		}
		if name = r.Pairs[n-1].DRS1; name == record.Trouble {
			return record.Server{}, fmt.Errorf("%s: pair %d is in trouble", host, n)
		}
	}
	s, known := r.Server(name)
	if !known {
		return record.Server{}, fmt.Errorf("%s is not in the server list", host)
	}
	return s, nil
}

// StillMeant says whether a session that was opened in one generation is right in another: the host name stands for the same server, and
// whoever fed that one still does.
func StillMeant(opened, now record.Record, self, host string) bool {
	before, err := Resolve(opened, host)
	if err != nil {
		return false
	}
	after, err := Resolve(now, host)
	if err != nil || before != after {
		return false
	}
	return gate.Feeder(opened, before.Name) == gate.Feeder(now, after.Name)
}

// Order is the command line to send to the peer's hafs-gate for what sshfs or rsync wants to run on a host, or a daemon of this server: a stream
// goes to a server by its own name, so that it never moves to another one.
func Order(r record.Record, host string, command []string) (string, error) {
	if len(command) == 0 {
		return "", fmt.Errorf("no command for %s", host)
	}
	generation := strconv.FormatUint(r.Generation, 10)
	switch {
	case command[0] == "sftp" && host == FileServer:
		return "share " + generation, nil
	case command[0] == "sftp":
		return "replica " + generation + " sftp", nil
	case command[0] == "stream":
		if _, known := r.Server(host); !known || len(command) > 1 {
			return "", fmt.Errorf("%q on %s: a stream goes to a server by its own name", strings.Join(command, " "), host)
		}
		return "replica " + generation + " stream", nil
	case command[0] != "rsync":
		return "", fmt.Errorf("%q: only sftp, rsync and stream are run on other servers", command[0])
	}
	kind := "replica"
	if host == FileServer && slices.Contains(command, "--sender") {
		kind = "pull"
	} else if gate.DryRun(command) {
		kind = "compare"
	}
	return kind + " " + generation + " " + strings.Join(command, " "), nil
}
