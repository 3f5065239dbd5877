package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hafs/lib/cluster/repair"
	"hafs/lib/host/config"
	"hafs/lib/host/holders"
	"hafs/lib/replication/mirror"
)

// drain asks this server's hafs-mirror to keep its clients waiting until a replica has everything.
func drain(s config.Settings) func(context.Context, string, time.Duration) (func(), error) {
	return func(ctx context.Context, replica string, patience time.Duration) (func(), error) {
		release, a, err := mirror.AskDrain(ctx, s.Run("mirror.sock"), replica, patience)
		switch {
		case err != nil:
			return release, err
		case a.Refused != "":
			return release, repair.Refusal{Reason: a.Refused}
		case !a.OK:
			return release, fmt.Errorf("%s has not everything: %s: %s", replica, a.Error, strings.Join(a.Lagging, "; "))
		}
		return release, nil
	}
}

// writers leaves out what runs in a unit of HAFS: its daemons write to the share in the name of clients, who wait while the role is moved.
func writers(directory string) ([]holders.Holder, error) {
	return holders.Writers(directory, func(groups []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(g, "hafs-") && strings.HasSuffix(g, ".service") })
	})
}
