// Package gate stands at the door of every SSH session between servers: from the session's command line, the peer whose key opened it
// and this server's record it decides what may happen, and then does it, hands it to a daemon or becomes rsync.
//
// It promises that a session reaches the share and nothing else of this server, whatever is asked in it: what is served here or by hafs-mirror resolves no path that leads out
// of it, rsync's command line is taken word by word, and rsync sees nothing but the share. There is no way through to a shell. decide.go and rsync.go are
// pure; enter.go acts.
package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hafs/lib/cluster/record"
)

// Kind of session.
type Kind string

const (
	Link    Kind = "link"    // heartbeats and questions, for hafs-linkcheck
	Share   Kind = "share"   // the share, for a member's /system
	Replica Kind = "replica" // changes for this server's copy
	Pull    Kind = "pull"    // a member fetches the share
	Compare Kind = "compare" // a member compares its copy with this server's
)

// Order is what a peer asks for: kind, the generation it acts in, and for rsync its arguments.
type Order struct {
	Kind       Kind
	Generation uint64
	Stream     bool     // changes as a stream, for this server's receiver
	Rsync      []string // empty, and no stream: SFTP
}

// Parse reads a session's command line: `link`, `share 7`, `replica 7 sftp`, `replica 7 stream`, `replica 7 rsync --server ... . /nfs/`.
func Parse(line string) (Order, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return Order{}, fmt.Errorf("no command: HAFS keys open no shell")
	}
	o := Order{Kind: Kind(words[0])}
	if o.Kind == Link && len(words) == 1 {
		return o, nil
	}
	if len(words) < 2 {
		return Order{}, fmt.Errorf("%q is not a command of HAFS", line)
	}
	generation, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		return Order{}, fmt.Errorf("%q: %q is no generation", line, words[1])
	}
	o.Generation = generation
	rest := words[2:]
	switch {
	case o.Kind == Share && len(rest) == 0:
	case o.Kind == Replica && len(rest) == 1 && rest[0] == "sftp":
	case o.Kind == Replica && len(rest) == 1 && rest[0] == "stream":
		o.Stream = true
	case slices.Contains([]Kind{Replica, Pull, Compare}, o.Kind) && len(rest) > 3 && rest[0] == "rsync" && rest[1] == "--server":
		o.Rsync = rest[1:]
	default:
		return Order{}, fmt.Errorf("%q is not a command of HAFS", line)
	}
	return o, nil
}

// Standing is what a server knows of its own right to act.
type Standing struct {
	Confirmed bool // its record is known to be the newest
	Leased    bool // as FS it has the lease
}

// Allow decides whether a peer may have what it asks for.
func Allow(r record.Record, self, from string, standing Standing, o Order) error {
	if r.Role(from) == record.RoleNone {
		return fmt.Errorf("%s is not in the server list", from)
	}
	if o.Kind == Link {
		return nil
	}
	if !standing.Confirmed {
		return fmt.Errorf("%s does not know yet whether its record is the newest", self)
	}
	if o.Generation != r.Generation {
		return fmt.Errorf("%s acts in generation %d, %s has %d", from, o.Generation, self, r.Generation)
	}
	if len(o.Rsync) > 0 {
		if err := allowRsync(o, r.DataDirectory); err != nil {
			return err
		}
	}
	switch o.Kind {
	case Share, Pull:
		if r.FS.Name != self {
			return fmt.Errorf("%s is not the file sharing server, %s is", self, r.FS.Name)
		}
		if !standing.Leased {
			return fmt.Errorf("%s is the file sharing server and has no lease: a majority has not answered it within the examination time", self)
		}
		if o.Kind == Share && r.Role(from) == record.RoleFailed {
			return fmt.Errorf("%s has failed in generation %d and is not back", from, r.Generation)
		}
	case Replica:
		if feeder := Feeder(r, self); feeder != from {
			return fmt.Errorf("%s does not feed %s (%s), %q does", from, self, r.Role(self), feeder)
		}
	}
	return nil
}

// Feeder is the server whose changes a replica takes: FS for a DRS1, the DRS1 of its pair for a DRS2.
func Feeder(r record.Record, replica string) string {
	switch r.Role(replica) {
	case record.RoleDRS1:
		return r.FS.Name
	case record.RoleDRS2:
		return r.Pairs[r.PairOf(replica)].DRS1
	}
	return ""
}
