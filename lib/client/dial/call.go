package dial

import (
	"encoding/json"
	"fmt"

	"hafs/lib/host/socket"
)

// Lend gives this process's standard streams to the keeper, which runs the command on the host with them, and waits for the end. It
// returns the command's exit status.
func Lend(path, host string, command []string) (int, error) {
	conn, err := socket.Dial(path)
	if err != nil {
		return 1, fmt.Errorf("hafs-dial.service does not run here: %w", err)
	}
	defer conn.Close()
	text, err := json.Marshal(call{Host: host, Command: command})
	if err != nil {
		return 1, err
	}
	if err := socket.Send(conn, text, 0, 1, 2); err != nil {
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
