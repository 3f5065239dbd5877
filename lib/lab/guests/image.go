package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// entry is one file or link that the lab puts into a guest's tree.
type entry struct {
	path string
	mode fs.FileMode
	text string
	link string // when set, path is a link to it
}

// masked are units that do nothing for a guest but cost it boot time or inotify instances, of which root has 128 on
// the whole machine by default. Nine guests that keep them do not all boot.
var masked = []string{
	"apt-daily-upgrade.timer", "apt-daily.timer", "console-getty.service", "container-getty@.service",
	"dev-hugepages.mount", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"getty.target", "systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-logind.service",
	"systemd-networkd-wait-online.service", "systemd-networkd.service", "systemd-remount-fs.service",
	"systemd-update-utmp-runlevel.service", "systemd-update-utmp.service",
}

// common is what all guests share: it goes into the tree below the overlays.
func common(publicKey string) []entry {
	all := []entry{
		{path: "root/.ssh/authorized_keys", mode: 0o600, text: publicKey},
		// UsePAM off halves the time of a login. It makes sshd refuse accounts whose password field is "!" rather than "*".
		{path: "etc/ssh/sshd_config.d/10-lab.conf", mode: 0o644, text: "UsePAM no\nPasswordAuthentication no\n" +
			"KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\n" +
			"HostKey /" + hostKeyPath + "\n"},
		{path: "etc/systemd/journald.conf.d/10-lab.conf", mode: 0o644,
			text: "[Journal]\nStorage=persistent\nSystemMaxUse=32M\nRateLimitIntervalSec=0\n"},
		{path: "etc/hosts", mode: 0o644, text: "127.0.0.1 localhost\n"},
		{path: "etc/resolv.conf", mode: 0o644, text: "# The lab's guests reach nobody but each other.\n"},
		{path: "etc/systemd/system/default.target", link: "/lib/systemd/system/multi-user.target"},
	}
	for _, unit := range masked {
		all = append(all, entry{path: "etc/systemd/system/" + unit, link: "/dev/null"})
	}
	return all
}

const (
	hostKeyPath   = "etc/ssh/ssh_host_ed25519_key"
	hostPublicKey = hostKeyPath + ".pub"
)

const addressUnit = `[Unit]
Description=The guest's own address
DefaultDependencies=no
After=sysinit.target
Before=network.target network-online.target ssh.service
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip link set dev host0 up
ExecStart=/usr/sbin/ip address replace %s/%d dev host0

[Install]
WantedBy=multi-user.target
`

// own is what makes a guest this guest and no other.
func own(m Member, machineID string, key hostKey) []entry {
	const unit = "etc/systemd/system/lab-address.service"
	return []entry{
		{path: "etc/hostname", mode: 0o644, text: m.Name + "\n"},
		{path: "etc/machine-id", mode: 0o444, text: machineID + "\n"},
		{path: hostKeyPath, mode: 0o600, text: key.private},
		{path: hostPublicKey, mode: 0o644, text: key.public},
		{path: unit, mode: 0o644, text: fmt.Sprintf(addressUnit, m.Address, prefixLength)},
		{path: "etc/systemd/system/multi-user.target.wants/lab-address.service", link: "/" + unit},
		{path: "etc/systemd/system/network-online.target.wants/lab-address.service", link: "/" + unit},
	}
}

// lowerName names the tree made from a packed tree and these entries: another content has another name.
func lowerName(packed string, entries []entry) string {
	sum := sha256.New()
	fmt.Fprintln(sum, packed)
	for _, e := range entries {
		fmt.Fprintln(sum, e.path, e.mode, e.text, e.link)
	}
	return "lower-" + hex.EncodeToString(sum.Sum(nil))[:12]
}
