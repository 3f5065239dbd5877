package status

import (
	"strings"

	"hafs/lib/host/problem"
)

// What hafs-status finds out itself. What a server tells of itself has its id from there (package problem).
const (
	NobodyToAsk       problem.ID = "nobody-to-ask"
	FailedServer      problem.ID = "failed-server"
	ReturningServer   problem.ID = "returning-server"
	SilentServer      problem.ID = "silent-server"
	OldGeneration     problem.ID = "old-generation"
	UnconfirmedRecord problem.ID = "unconfirmed-record"
	UnhealthyServer   problem.ID = "unhealthy-server"
	UnestablishedRole problem.ID = "unestablished-role"
	MissingConnection problem.ID = "missing-connection"
	UnopenedSession   problem.ID = "unopened-session"
	FilesAside        problem.ID = "files-aside"
	UnfedReplica      problem.ID = "unfed-replica"
	BrokenReplica     problem.ID = "broken-replica"
	RecoveringReplica problem.ID = "recovering-replica"
	ComparedReplica   problem.ID = "compared-replica"
	FillingReplica    problem.ID = "filling-replica"
	HeldDeletes       problem.ID = "held-deletes"
	AlteredContent    problem.ID = "altered-content"
	MountInShare      problem.ID = "mount-in-share"
	MountInCopy       problem.ID = "mount-in-copy"
	PathWithoutRoom   problem.ID = "path-without-room"
	LongPath          problem.ID = "long-path"
	LargeAttributes   problem.ID = "large-attributes"
	ForbiddenPath     problem.ID = "forbidden-path"
	ReadOnlyPath      problem.ID = "read-only-path"
	UnreadablePath    problem.ID = "unreadable-path"
	DamagedFileSystem problem.ID = "damaged-file-system"
	UncopiedPath      problem.ID = "uncopied-path"
	FurtherPaths      problem.ID = "further-paths"
	NoWholeCopy       problem.ID = "no-whole-copy"
	PlaceInTrouble    problem.ID = "place-in-trouble"
	DifferentReleases problem.ID = "different-releases"
	DifferentTimes    problem.ID = "different-examination-times"
	UnsaidExamination problem.ID = "unsaid-examination-time"
	KeptExamination   problem.ID = "kept-examination-time"
	NoSpare           problem.ID = "no-spare"
	ReportedProblem   problem.ID = "reported-problem"
)

// remedies lists every finding there is, and what to do about it: on {server}, or on {other} (whoever feeds it, or the file sharing server), about
// {part} (a unit, a directory); {remedy} is the one of the problem that a returning server has.
// docs/status.md has the same list, with what each means.
var remedies = map[problem.ID]string{
	NobodyToAsk:       "systemctl status hafs-linkcheck on {server}",
	FailedServer:      "start it; it is taken back by itself",
	ReturningServer:   "wait; if this stays: {remedy}",
	SilentServer:      "wait for the examination time; then look at hafs-linkcheck on {other}",
	OldGeneration:     "journalctl -u hafs-linkcheck on {server}",
	UnconfirmedRecord: "start more servers: a majority has to answer",

	UnhealthyServer:   "look at the disk that holds that directory on {server} (journalctl -k)",
	problem.ReadOnly:  "look at the disk (journalctl -k), then mount {part} writable on {server}",
	problem.Failing:   "look at the disk that holds {part} on {server} (journalctl -k)",
	problem.Full:      "free space or inodes (df, df -i) in {part} on {server}",
	problem.Frozen:    "look at the disk that holds {part} on {server}: it does not answer",
	problem.Refusing:  "look at the directory {part} on {server}: owner, mode, mount",
	problem.NoSuchDir: "make {part} on {server}, or mount what holds it",

	problem.Slow:     "look at what keeps the disk that holds {part} on {server} busy, or at its health (journalctl -k)",
	problem.NoInodes: "delete files in {part} on {server}, or make a file system with more inodes (df -i)",
	problem.NoRoom:   "free space in {part} on {server}",

	problem.PartDown:   "systemctl status {part} on {server}",
	problem.PartSilent: "systemd ends and starts it after its watchdog's time; at once: systemctl kill --signal=KILL {part} on {server}",
	problem.Unseen:     "see whether systemctl works on {server}",
	problem.NoWatches:  "raise fs.inotify.max_user_watches on {server} with sysctl, and where it stays",
	problem.NoInotify:  "raise fs.inotify.max_user_instances on {server} with sysctl, and where it stays",
	ReportedProblem:    "journalctl -u 'hafs*' on {server}",

	problem.DamagedVote: "hafs-promote failed {server}; it is taken back by itself, and votes again",

	UnestablishedRole:      "journalctl -u hafs-role on {server}; it tries again every second",
	problem.UnmountedShare: "mount the file system of the share on {server}",
	problem.EmptyDisk:      "hafs-promote init --empty on {server}, if that is its new disk",

	UnopenedSession:         "journalctl -u hafs-sshd -u hafs-mirror on {other}",
	MissingConnection:       "journalctl -u hafs-dial on {server}",
	problem.RefusedKey:      "deploy keys and certificates anew: playbooks/site.yml",
	problem.HostCertificate: "deploy keys and certificates anew: playbooks/site.yml",

	problem.SmallPackets: "give all networks between {server} and {other} the same MTU, or let ICMP pass; until then sysctl net.ipv4.tcp_mtu_probing=1 on both",

	FilesAside: "look at {part}.list, take what you need, then on {server}: rm -r {part} {part}.list",

	UnfedReplica:      "journalctl -u hafs-mirror on {other}",
	BrokenReplica:     "journalctl -u hafs-mirror on {other}",
	RecoveringReplica: "wait; if this stays: journalctl -u hafs-mirror on {other}",
	ComparedReplica:   "wait",
	FillingReplica:    "wait",
	HeldDeletes:       "if they are meant: hafs-mirror release on {other}; if not: restore the files in the share",
	AlteredContent:    "look at the disks of {server} and {other}",

	MountInShare:      "unmount it on {server}, or leave it: mounts are not copied",
	MountInCopy:       "unmount what is mounted there on {server}",
	PathWithoutRoom:   "free space (df, df -i) on {server}",
	LongPath:          "shorten the path: it may have 4095 bytes, each name 255",
	LargeAttributes:   "take extended attributes away: a file may have 256 KiB of them",
	ForbiddenPath:     "lsattr and getfacl of it on {server}; chattr -i if it is immutable",
	ReadOnlyPath:      "mount the file system writable on {server}",
	UnreadablePath:    "look at the disk of {server} (journalctl -k)",
	DamagedFileSystem: "the file system of {server} is damaged (journalctl -k): fsck",
	UncopiedPath:      "journalctl -u hafs-mirror; it is tried again by itself",
	FurtherPaths:      "hafs-status --json on {server} names them, the first at least",

	NoWholeCopy:       "wait until a copy is whole",
	PlaceInTrouble:    "bring a failed server back, or add one",
	DifferentReleases: "bring the same one to all: playbooks/upgrade.yml",
	DifferentTimes:    "bring the same examination_time to all: playbooks/site.yml",
	UnsaidExamination: "bring this release to all members before you change examination_time",
	KeptExamination:   "bring this release to all members (playbooks/upgrade.yml); the time changes by itself then",
	NoSpare:           "bring a failed server back, or add one",
}

// known is an id that came from a server, or the general one of its kind when there is none or it is not known here: that server has another release.
func known(id, general problem.ID) problem.ID {
	if _, listed := remedies[id]; listed {
		return id
	}
	return general
}

// remedied is a finding with its remedy; other is whom the remedy means besides the server.
func remedied(f Finding, other string) Finding {
	f.Do = strings.NewReplacer("{server}", f.Server, "{other}", other, "{part}", f.Part).Replace(remedies[f.ID])
	return f
}
