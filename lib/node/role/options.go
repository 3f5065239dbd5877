package role

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"hafs/lib/host/system"
)

// MountOptionsVariable is what the unit of the client mount appends to sshfs's options.
const MountOptionsVariable = "HAFS_CLIENT_OPTIONS"

// mountOptions are options of sshfs that only some releases know and that the client mount needs where they are known, by how sshfs's help
// names them. One that contains links refuses to follow those that lead out of the mount (absolute ones, and any with ..), by EPERM; programs of
// the file sharing server can follow them, so programs of all others have to. What a link may lead to on a client is the client's own: the server
// never follows one.
var mountOptions = []string{"no_contain_symlinks"}

// MountOptions chooses from the text of sshfs --help what to append to the client mount's options, with a comma before each.
func MountOptions(help string) string {
	var chosen strings.Builder
	for _, option := range mountOptions {
		if strings.Contains(help, "-o "+option) {
			chosen.WriteString("," + option)
		}
	}
	return chosen.String()
}

// WriteMountOptions asks this machine's sshfs what it knows and writes the choice as an environment file for systemd. It is asked at each start of
// the mount, as another release of sshfs may have been installed since the last.
func WriteMountOptions(ctx context.Context, m system.Machine, path string) error {
	help, err := exec.CommandContext(ctx, "sshfs", "--help").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask sshfs for its options: %w", err)
	}
	return m.ReplaceUnsynced("write the mount options", path, []byte(MountOptionsVariable+"="+MountOptions(string(help))+"\n"), 0o644)
}
