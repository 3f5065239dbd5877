// Package guests keeps a cluster of guests on one machine, so that every failure of a real one can be had at will: a
// server that loses its power, one that freezes, a cable that is cut in one direction only.
//
// A guest is a systemd-nspawn container with a systemd, sshd and FUSE of its own, on an overlay over one shared tree.
// All guests sit on one bridge in one network namespace, so that nothing of the machine's own network is touched.
// Everything the lab keeps is below one folder; [Lab.Down] takes the rest away again, but for the packed tree.
//
// The lab knows nothing of what is deployed on its guests.
package guests

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
)

// netnsOf names the network namespace of a lab that was not told otherwise, so that labs of two checkouts do not meet.
func netnsOf(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("hafs-%x", sum[:3])
}

// Lab is one lab: a folder and the network namespace its guests live in.
type Lab struct {
	Dir   string // absolute, without characters that mount options give a meaning to
	Netns string
	Log   zerolog.Logger
}

// Open is the lab in dir. Nothing has to exist yet. A lab that was up before keeps its network namespace; a new one
// takes netns.
func Open(dir, netns string, log zerolog.Logger) (*Lab, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open lab: %w", err)
	}
	if strings.ContainsAny(absolute, ":,\\ \n") {
		return nil, fmt.Errorf("open lab: %q holds a character that overlay mounts cannot take", absolute)
	}
	l := &Lab{Dir: absolute, Netns: netns, Log: log}
	known, err := l.Table()
	switch {
	case err == nil:
		l.Netns = known.Netns
	case !os.IsNotExist(err):
		return nil, fmt.Errorf("open lab: %w", err)
	}
	if l.Netns == "" {
		l.Netns = netnsOf(absolute)
	}
	if len(bridge(l.Netns)) > 15 || strings.ContainsAny(l.Netns, "/. ") {
		return nil, fmt.Errorf("open lab: %q is no name for a network namespace and its bridge", l.Netns)
	}
	return l, nil
}
