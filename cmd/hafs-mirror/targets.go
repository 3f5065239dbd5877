package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
	"hafs/lib/node/command"
	"hafs/lib/node/feeding"
	"hafs/lib/replication/mirror"
	"hafs/lib/replication/tree"
)

// targets are the flags that name a share and its replicas.
type targets struct {
	Share      string   `help:"Directory to replicate." placeholder:"DIR"`
	To         []string `help:"A replica that is a directory, such as an sshfs mount." placeholder:"NAME=DIR" sep:"none"`
	RsyncTo    []string `help:"A replica that rsync reaches." placeholder:"NAME=HOST:DIR" sep:"none"`
	RsyncShell string   `help:"What rsync reaches hosts with." default:"hafs-dial" placeholder:"COMMAND"`
	Unmarked   bool     `help:"Accept a share and replicas that have no marker at all."`
	Workers    int      `help:"Calls made to one replica at the same time." default:"8"`
	NoSync     bool     `help:"Never sync files before they get their names."`
}

// wanted reads the flags.
func (t targets) wanted() ([]mirror.Wanted, error) {
	var wanted []mirror.Wanted
	for _, group := range []struct {
		flags     []string
		transport string
	}{{t.To, mirror.DirectoryTransport}, {t.RsyncTo, mirror.RsyncTransport}} {
		for _, flag := range group.flags {
			name, target, found := strings.Cut(flag, "=")
			if !found || name == "" || target == "" {
				return nil, fmt.Errorf("%q is not NAME=TARGET", flag)
			}
			if slices.ContainsFunc(wanted, func(w mirror.Wanted) bool { return w.Name == name }) {
				return nil, fmt.Errorf("two replicas are named %s", name)
			}
			if group.transport == mirror.RsyncTransport {
				var err error
				if target, err = rsyncTarget(target); err != nil {
					return nil, err
				}
			}
			wanted = append(wanted, mirror.Wanted{Name: name, Transport: group.transport, Target: target})
		}
	}
	return wanted, nil
}

// rsyncTarget is HOST:DIR/, or a local directory: an absolute one, for rsync is started in the share.
func rsyncTarget(target string) (string, error) {
	if !strings.Contains(target, ":") {
		absolute, err := filepath.Abs(target)
		if err != nil {
			return "", err
		}
		target = absolute
	}
	return strings.TrimSuffix(target, "/") + "/", nil
}

// byRecord are the share and the replicas this server has by the record.
func byRecord(common *command.Common) (config.Settings, string, []mirror.Wanted, error) {
	settings, err := common.Settings()
	if err != nil {
		return settings, "", nil, err
	}
	r, err := record.Store{Directory: settings.StateDirectory}.Current()
	if err != nil {
		return settings, "", nil, err
	}
	return settings, feeding.Share(r, settings.Name), feeding.Replicas(r, settings.Name, settings.Transport == config.TransportStream), nil
}

func openShare(share string) (*tree.Root, error) {
	share, err := filepath.Abs(share)
	if err != nil {
		return nil, err
	}
	root, err := tree.Open(share)
	if err != nil {
		return nil, fmt.Errorf("open the share: %w", err)
	}
	return root, nil
}

// transport makes the way to a replica. service: a directory must be the mount of the server it is named after.
func (t targets) transport(share *tree.Root, w mirror.Wanted, service bool, bandwidth int, log zerolog.Logger) mirror.Transport {
	log = log.With().Str("replica", w.Name).Logger()
	if w.Transport == mirror.RsyncTransport {
		r := &mirror.Rsync{Share: share, Target: w.Target, Bandwidth: bandwidth, Unmarked: t.Unmarked, Log: log}
		if strings.Contains(w.Target, ":") {
			r.Shell = cmp.Or(t.RsyncShell, "hafs-dial")
		}
		return r
	}
	d := &mirror.Directory{Share: share, Path: w.Target, Unmarked: t.Unmarked, Workers: t.Workers, Sync: !t.NoSync, Log: log}
	if service {
		d.Mount = w.Name
	}
	return d
}

// refused gives refusals their exit status and a hint.
func refused(err error) error {
	var refusal mirror.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	return exitcode.With(exitcode.Refused, command.Hint{Err: err, Text: "a share and its replicas have the same file .hafs-share, with the line \"cluster: ID\""})
}
