package guests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"
)

// Table is guests.json: how to reach, kill, freeze or cut each guest.
type Table struct {
	Netns          string  `json:"netns"`
	Bridge         string  `json:"bridge"`
	SSHKey         string  `json:"ssh_key"` // absolute
	SSHUser        string  `json:"ssh_user"`
	VirtualAddress string  `json:"virtual_address"`
	Guests         []Guest `json:"guests"`
}

// Guest is one line of the table.
type Guest struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	LeaderPID int    `json:"leader_pid"` // the guest's init as the machine sees it; 0 while the guest is down
	Interface string `json:"interface"`  // the machine's end of its cable
}

// TableOf is the table of a lab whose guests have these leaders.
func TableOf(netns, key string, leaders map[string]int) Table {
	t := Table{Netns: netns, Bridge: bridge(netns), SSHKey: key, SSHUser: "root", VirtualAddress: VirtualAddress}
	for _, m := range Members() {
		t.Guests = append(t.Guests, Guest{m.Name, m.Address, leaders[m.Name], m.Interface()})
	}
	return t
}

// Table reads guests.json. The error is fs.ErrNotExist when there is no lab.
func (l *Lab) Table() (Table, error) {
	var t Table
	err := readJSON(l.TablePath(), &t)
	return t, err
}

// saveTable writes guests.json anew from what runs now, unless it says so already.
func (l *Lab) saveTable() error {
	leaders := map[string]int{}
	for _, m := range Members() {
		leaders[m.Name] = l.Leader(m)
	}
	if err := renameio.Symlink(l.netnsPath(), l.netnsLink()); err != nil {
		return err
	}
	return writeJSON(l.TablePath(), TableOf(l.Netns, l.KeyPath(), leaders))
}

// Cuts are the cuts in force.
func (l *Lab) Cuts() ([]Cut, error) {
	cuts := []Cut{}
	err := readJSON(l.cutsPath(), &cuts)
	if errors.Is(err, fs.ErrNotExist) {
		return cuts, nil
	}
	return cuts, err
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, from any) error {
	text, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	return renameio.WriteFile(path, text, 0o644)
}
