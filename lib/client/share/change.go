package share

import (
	"path"
	"strings"

	"hafs/lib/client/sftp"
)

// paths lists what a request changes by name, as the client names it; none for a request that names a handle or changes nothing.
func paths(p sftp.Packet) []string {
	switch p.Kind() {
	case sftp.Remove, sftp.Mkdir, sftp.Rmdir, sftp.Setstat:
		return names(p.Body(), 1)
	case sftp.Rename:
		return names(p.Body(), 2)
	case sftp.Symlink: // OpenSSH puts the target first
		if both := names(p.Body(), 2); both != nil {
			return both[1:]
		}
	case sftp.Extended:
		extension, rest, err := sftp.CutString(p.Body())
		if err != nil {
			return nil
		}
		switch extension {
		case "posix-rename@openssh.com":
			return names(rest, 2)
		case "hardlink@openssh.com":
			if both := names(rest, 2); both != nil {
				return both[1:]
			}
		case "lsetstat@openssh.com":
			return names(rest, 1)
		}
	}
	return nil
}

func names(b []byte, count int) []string {
	var all []string
	for range count {
		name, rest, err := sftp.CutString(b)
		if err != nil {
			return nil
		}
		all, b = append(all, name), rest
	}
	return all
}

// changes says whether a request would change the share. An extension that is not known here might.
func changes(p sftp.Packet) bool {
	switch p.Kind() {
	case sftp.Write, sftp.Fsetstat, sftp.Setstat, sftp.Remove, sftp.Mkdir, sftp.Rmdir, sftp.Rename, sftp.Symlink:
		return true
	case sftp.Open:
		_, writes, creates := opened(p)
		return writes || creates
	case sftp.Extended:
		extension, _, err := sftp.CutString(p.Body())
		return err == nil && !strings.Contains(reading, " "+extension+" ")
	}
	return false
}

// reading are OpenSSH's extensions that change nothing.
const reading = " expand-path@openssh.com fstatvfs@openssh.com fsync@openssh.com home-directory limits@openssh.com statvfs@openssh.com" +
	" users-groups-by-id@openssh.com "

// changesHandle says whether a request changes the file behind a handle.
func changesHandle(p sftp.Packet) bool { return p.Kind() == sftp.Write || p.Kind() == sftp.Fsetstat }

// syncs says whether a request asks for what a handle was given to be safe.
func syncs(p sftp.Packet) bool {
	if p.Kind() != sftp.Extended {
		return false
	}
	extension, _, err := sftp.CutString(p.Body())
	return err == nil && extension == "fsync@openssh.com"
}

// opened is what an OPEN asks for.
func opened(p sftp.Packet) (name string, writes, creates bool) {
	name, rest, err := sftp.CutString(p.Body())
	if err != nil {
		return "", false, false
	}
	flags, _, err := sftp.CutUint32(rest)
	if err != nil {
		return "", false, false
	}
	return name, flags&(sftp.FlagWrite|sftp.FlagAppend) != 0, flags&(sftp.FlagCreate|sftp.FlagTruncate) != 0
}

// below is the client's name of something as a path relative to the share; false for what lies outside. A session starts in the share, so a
// relative name is one from there.
func below(directory, name string) (string, bool) {
	if !path.IsAbs(name) {
		name = path.Join(directory, name)
	}
	name = path.Clean(name)
	if name == directory {
		return ".", true
	}
	return strings.CutPrefix(name, directory+"/")
}
