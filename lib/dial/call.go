package dial

import (
	"encoding/json"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Lend gives this process's standard streams to the keeper, which runs the command on the host with them, and waits for the end. It
// returns the command's exit status.
func Lend(socket, host string, command []string) (int, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return 1, fmt.Errorf("hafs-dial.service does not run here: %w", err)
	}
	defer conn.Close()
	text, err := json.Marshal(call{Host: host, Command: command})
	if err != nil {
		return 1, err
	}
	if _, _, err := conn.WriteMsgUnix(text, unix.UnixRights(0, 1, 2), nil); err != nil {
		return 1, err
	}
	var r result
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return 1, fmt.Errorf("hafs-dial.service ended: %w", err)
	}
	if r.Error != "" {
		return r.Status, fmt.Errorf("%s: %s", host, r.Error)
	}
	return r.Status, nil
}
