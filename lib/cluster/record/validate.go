package record

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"
)

// The three files, by the names the paper gives them.
const (
	ServerListFile     = "server-list.yml"
	FileServerFile     = "file-sharing-server.yml"
	DataRedundancyFile = "data-redundancy-server.yml"
)

// Problem is one reason why a record is refused. Key is the path to the value, such as servers.2.address; Line is 0 when
// the record did not come from a file.
type Problem struct {
	File, Key string
	Line      int
	Text      string
}

func (p Problem) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	}
	return fmt.Sprintf("%s: %s", p.File, p.Text)
}

// Invalid is the error of a record that contradicts itself.
type Invalid []Problem

func (v Invalid) Error() string {
	lines := make([]string, len(v))
	for i, p := range v {
		lines[i] = p.String()
	}
	return strings.Join(lines, "; ")
}

var (
	// A host name (RFC 1123): it is a principal of a host certificate and part of units' names.
	nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	pathForm = regexp.MustCompile(`^[A-Za-z0-9/._+@-]+$`)
	// hafs-dial gives these host names a meaning of its own.
	reservedName = regexp.MustCompile(`^(fs|S[0-9]+|trouble)$`)
)

// maxNameBytes is what the kernel takes for a host name, less one.
const maxNameBytes = 63

func isName(text string) bool { return len(text) <= maxNameBytes && nameForm.MatchString(text) }

// Validate finds every contradiction in a record; nil means it is whole.
func (r Record) Validate() error {
	if err := r.Newer(); err != nil {
		return err
	}
	v := validation{record: r, placed: map[string]string{}}
	v.servers()
	v.fileServer()
	v.pairs()
	v.statuses()
	if len(v.problems) == 0 {
		return nil
	}
	return v.problems
}

type validation struct {
	record   Record
	placed   map[string]string // server → the place it holds
	problems Invalid
}

func (v *validation) refuse(file, key, text string, args ...any) {
	v.problems = append(v.problems, Problem{File: file, Key: key, Text: fmt.Sprintf(text, args...)})
}

func (v *validation) servers() {
	r := v.record
	if !isName(r.Cluster) {
		v.refuse(ServerListFile, "cluster", "cluster %q is not a name of letters, digits, dots and dashes", r.Cluster)
	}
	if r.Generation == 0 {
		v.refuse(ServerListFile, "generation", "generations count from 1")
	}
	if len(r.Servers) == 0 {
		v.refuse(ServerListFile, "servers", "the server list is empty")
	}
	names, addresses := map[string]string{}, map[netip.Addr]string{}
	for i, s := range r.Servers {
		key := func(field string) string { return fmt.Sprintf("servers.%d.%s", i, field) }
		folded := strings.ToLower(s.Name) // the case of a host name means nothing
		switch _, notAddress := netip.ParseAddr(s.Name); {
		case reservedName.MatchString(s.Name):
			v.refuse(ServerListFile, key("name"), "%q cannot be a server's name: it has a meaning of its own", s.Name)
		case !isName(s.Name) || notAddress == nil:
			v.refuse(ServerListFile, key("name"), "%q cannot be a server's name: it is no host name", s.Name)
		case names[folded] != "":
			v.refuse(ServerListFile, key("name"), "%s is listed twice", s.Name)
		}
		names[folded] = s.Name
		a, err := netip.ParseAddr(s.Address)
		switch other, used := addresses[a.Unmap()]; {
		case err != nil:
			v.refuse(ServerListFile, key("address"), "%s: %q is not an IP address", s.Name, s.Address)
		case a.IsUnspecified() || a.IsMulticast():
			v.refuse(ServerListFile, key("address"), "%s: %s is no server's address", s.Name, s.Address)
		case used:
			v.refuse(ServerListFile, key("address"), "%s has the address of %s, %s", s.Name, other, s.Address)
		default:
			addresses[a.Unmap()] = s.Name
		}
		switch s.Status {
		case Active, Spare, Failed:
		default:
			v.refuse(ServerListFile, key("status"), "%s: status %q is not active, spare or failed", s.Name, s.Status)
		}
	}
	if p, err := netip.ParsePrefix(r.FS.VirtualAddress); err == nil && addresses[p.Addr().Unmap()] != "" {
		v.refuse(FileServerFile, "virtual_address", "virtual address %s is the address of %s", r.FS.VirtualAddress, addresses[p.Addr().Unmap()])
	}
}

func (v *validation) fileServer() {
	r := v.record
	if _, known := r.Server(r.FS.Name); !known {
		v.refuse(FileServerFile, "name", "%q is not in the server list", r.FS.Name)
	}
	v.place(FileServerFile, "name", r.FS.Name, "the file sharing server")
	if _, err := netip.ParsePrefix(r.FS.VirtualAddress); err != nil {
		v.refuse(FileServerFile, "virtual_address", "virtual address %q is not an IP address with prefix length", r.FS.VirtualAddress)
	}
	v.directory(FileServerFile, "shared_area", r.FS.SharedArea)
	v.directory(FileServerFile, "link", r.FS.Link)
	v.directory(DataRedundancyFile, "data_directory", r.DataDirectory)
	v.directory(DataRedundancyFile, "client_mount", r.ClientMount)
	if r.FS.SharedArea != r.DataDirectory {
		v.refuse(DataRedundancyFile, "data_directory", "data_directory %s is not the shared_area %s: a promoted DRS1 would serve another directory", r.DataDirectory, r.FS.SharedArea)
	}
	if r.FS.Link != r.ClientMount {
		v.refuse(DataRedundancyFile, "client_mount", "client_mount %s is not the link %s: programs would lose the share when roles move", r.ClientMount, r.FS.Link)
	}
	if len(r.FS.MountPoints) != len(r.Pairs) {
		v.refuse(FileServerFile, "mount_points", "%d mount points for %d pairs", len(r.FS.MountPoints), len(r.Pairs))
	}
	v.apart()
}

// apart refuses places that are one another's or one within another: a mount inside the share would be replicated into itself, and a mount above
// another one would hide it.
func (v *validation) apart() {
	type place struct{ key, what, dir string }
	places := []place{{"shared_area", "the shared area", v.record.FS.SharedArea}, {"link", "the link", v.record.FS.Link}}
	for i, m := range v.record.FS.MountPoints {
		places = append(places, place{fmt.Sprintf("mount_points.%d", i), "a mount point", m})
		v.directory(FileServerFile, places[len(places)-1].key, m)
	}
	for i, p := range places {
		for _, q := range places[:i] {
			switch {
			case !path.IsAbs(p.dir) || !path.IsAbs(q.dir): // refused already
			case p.dir == q.dir:
				v.refuse(FileServerFile, p.key, "%s is used twice: %s and %s", p.dir, q.what, p.what)
			case strings.HasPrefix(p.dir, q.dir+"/"):
				v.refuse(FileServerFile, p.key, "%s is inside %s, %s", p.dir, q.what, q.dir)
			case strings.HasPrefix(q.dir, p.dir+"/"):
				v.refuse(FileServerFile, p.key, "%s holds %s, %s", p.dir, q.what, q.dir)
			}
		}
	}
}

// directory takes what can be said in a unit and on rsync's command line without quoting.
func (v *validation) directory(file, key, dir string) {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" {
		v.refuse(file, key, "%q is not an absolute directory below /", dir)
	} else if !pathForm.MatchString(dir) {
		v.refuse(file, key, "%q has a character that is none of letters, digits and /._+@-", dir)
	}
}

func (v *validation) pairs() {
	r := v.record
	if len(r.Pairs) == 0 {
		v.refuse(DataRedundancyFile, "pairs", "there is no pair: nothing would be kept twice")
	}
	for i, p := range r.Pairs {
		for _, place := range []struct{ field, name string }{{"drs1", p.DRS1}, {"drs2", p.DRS2}} {
			if place.name == Trouble {
				continue
			}
			key := fmt.Sprintf("pairs.%d.%s", i, place.field)
			if _, known := r.Server(place.name); !known {
				v.refuse(DataRedundancyFile, key, "%q is not in the server list", place.name)
				continue
			}
			v.place(DataRedundancyFile, key, place.name, fmt.Sprintf("%s of pair %d", place.field, i+1))
		}
		if p.DRS1 == Trouble && p.DRS2 != Trouble {
			v.refuse(DataRedundancyFile, fmt.Sprintf("pairs.%d.drs1", i), "pair %d has a drs2 and no drs1 to feed it", i+1)
		}
	}
}

func (v *validation) place(file, key, name, place string) {
	if other, taken := v.placed[name]; taken {
		v.refuse(file, key, "%s is %s and %s", name, other, place)
		return
	}
	v.placed[name] = place
}

func (v *validation) statuses() {
	for i, s := range v.record.Servers {
		key := fmt.Sprintf("servers.%d.status", i)
		place, placed := v.placed[s.Name]
		switch {
		case placed && s.Status != Active:
			v.refuse(ServerListFile, key, "%s is %s but %s", s.Name, place, s.Status)
		case !placed && s.Status == Active:
			v.refuse(ServerListFile, key, "%s is active but has no place", s.Name)
		}
	}
}
