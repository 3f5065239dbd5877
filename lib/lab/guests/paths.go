package guests

import "path/filepath"

// The lab's folder: guests.json, the keys and ssh_config for people and programs, and the state of each guest.

func (l *Lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}

func (l *Lab) TablePath() string      { return l.path("guests.json") }
func (l *Lab) KeyPath() string        { return l.path("ssh_key") }
func (l *Lab) KnownHostsPath() string { return l.path("known_hosts") }
func (l *Lab) SSHConfigPath() string  { return l.path("ssh_config") }
func (l *Lab) SSHProgramPath() string { return l.path("ssh") }
func (l *Lab) cutsPath() string       { return l.path("cuts.json") }
func (l *Lab) lockPath() string       { return l.path("lock") }
func (l *Lab) netnsLink() string      { return l.path("netns") } // for those who do not read guests.json
func (l *Lab) netnsPath() string      { return filepath.Join("/run/netns", l.Netns) }

// Root is where the machine sees the guest's files, whether the guest runs or not.
func (l *Lab) Root(m Member) string { return l.path("guests", m.Name, "merged") }

// ConsolePath is what the guest printed while it booted.
func (l *Lab) ConsolePath(m Member) string { return l.path("guests", m.Name, "console.log") }

func (l *Lab) upper(m Member) string   { return l.path("guests", m.Name, "upper") }
func (l *Lab) work(m Member) string    { return l.path("guests", m.Name, "work") }
func (l *Lab) pidPath(m Member) string { return l.path("guests", m.Name, "pid") }

// lower is a link to the tree the guest was made over. That tree never changes while the guest exists.
func (l *Lab) lower(m Member) string { return l.path("guests", m.Name, "lower") }
