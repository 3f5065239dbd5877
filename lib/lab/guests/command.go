package guests

import "strconv"

// systemd-nspawn has to run inside the network namespace, as nspawnCommand puts one end of the guest's cable there.
// The machine's PID 1 need not be systemd, hence --register=no and --keep-unit: nobody is asked for a scope or a name.
func nspawnCommand(m Member, root, bridge string) []string {
	return []string{
		"systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit", "--boot",
		"--machine=" + m.Name, "--hostname=" + m.Name, "--directory=" + root,
		"--network-bridge=" + bridge, "--bind=/dev/fuse", "--private-users=no",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
	}
}

// guestPath is what a login of root finds.
const guestPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// enterCommand runs a command inside the guest without its network: through its leader's namespaces.
func enterCommand(leader int, command []string) []string {
	return append([]string{
		"nsenter", "--target", strconv.Itoa(leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd",
		"--", "/usr/bin/env", "-i", guestPath, "HOME=/root", "USER=root", "LANG=C.UTF-8", "TERM=dumb",
	}, command...)
}

// sshCommand is ssh to the guest from inside the namespace.
func sshCommand(netnsPath, config, name string, command []string) []string {
	return append([]string{"nsenter", "--net=" + netnsPath, "ssh", "-F", config, name}, command...)
}

// networkSteps make the namespace and the bridge in it. No guest waits for a bridge that is still learning.
func networkSteps(netns string) [][]string {
	b := bridge(netns)
	return [][]string{
		{"ip", "netns", "add", netns},
		{"ip", "-n", netns, "link", "set", "dev", "lo", "up"},
		{"ip", "-n", netns, "link", "add", "name", b, "type", "bridge", "stp_state", "0", "forward_delay", "0",
			"mcast_snooping", "0"},
		{"ip", "-n", netns, "address", "add", BridgeAddress + "/" + strconv.Itoa(prefixLength), "dev", b},
		{"ip", "-n", netns, "link", "set", "dev", b, "up"},
	}
}
