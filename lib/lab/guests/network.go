package guests

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// makeNetwork makes the namespace and its bridge. Cuts of an earlier namespace are no more.
func (l *Lab) makeNetwork(ctx context.Context) error {
	if err := os.Remove(l.cutsPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, step := range networkSteps(l.Netns) {
		if err := run(ctx, step, ""); err != nil {
			return err
		}
	}
	return nil
}

// removeNetwork removes the namespace and with it the bridge, the cables and the rules.
func (l *Lab) removeNetwork(ctx context.Context) error {
	if exists(l.netnsPath()) {
		if err := run(ctx, []string{"ip", "netns", "delete", l.Netns}, ""); err != nil {
			return err
		}
	}
	left, err := os.ReadDir("/run/netns")
	if err != nil || len(left) > 0 {
		return nil
	}
	// ip made the folder a mount of its own for its first namespace. It was the last one, so the folder goes too.
	if err := unmountAll("/run/netns"); err != nil {
		return err
	}
	return os.Remove("/run/netns")
}

// removeCable removes the machine's end of a guest's cable, and so the other end too. Nothing the guest's kernel side
// would still say on it (a FIN, a RST) gets out.
func (l *Lab) removeCable(ctx context.Context, m Member) error {
	err := run(ctx, []string{"ip", "-n", l.Netns, "link", "delete", "dev", m.Interface()}, "")
	if err != nil && strings.Contains(err.Error(), "Cannot find device") {
		return nil
	}
	return err
}

// applyCuts puts these cuts in force and then on record.
func (l *Lab) applyCuts(ctx context.Context, cuts []Cut) error {
	if err := run(ctx, []string{"nsenter", "--net=" + l.netnsPath(), "nft", "-f", "-"}, Rules(cuts)); err != nil {
		return err
	}
	return writeJSON(l.cutsPath(), cuts)
}
