// Package recordtest writes records as one line, the way scenario files and failure messages show them:
//
//	fs=L1 pairs=W3/M2,M1/L2 spares=M3,W2 failed=X1
package recordtest

import (
	"fmt"
	"strings"
	"testing"

	"hafs/lib/cluster/record"
)

// Parse makes a whole record of generation 7, with addresses, mount points and directories, from its line. Servers are listed in the order in which
// they are named.
func Parse(t *testing.T, line string) record.Record {
	t.Helper()
	r, err := Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Read is Parse for who has no test at hand.
func Read(line string) (record.Record, error) {
	r := record.Record{
		Cluster: "test", Generation: 7, DataDirectory: "/nfs", ClientMount: "/system",
		FS: record.FileServer{SharedArea: "/nfs", Link: "/system", VirtualAddress: "192.168.1.254/24"},
	}
	add := func(name string, status record.Status) {
		if name != record.Trouble {
			r.Servers = append(r.Servers, record.Server{Name: name, Address: fmt.Sprintf("192.168.1.%d", len(r.Servers)+1), Status: status})
		}
	}
	for _, w := range strings.Fields(line) {
		key, value, _ := strings.Cut(w, "=")
		for _, item := range strings.FieldsFunc(value, func(c rune) bool { return c == ',' }) {
			switch key {
			case "fs":
				r.FS.Name = item
				add(item, record.Active)
			case "pairs":
				one, two, _ := strings.Cut(item, "/")
				r.Pairs = append(r.Pairs, record.Pair{DRS1: one, DRS2: two})
				r.FS.MountPoints = append(r.FS.MountPoints, fmt.Sprintf("/mp/S%d", len(r.Pairs)))
				add(one, record.Active)
				add(two, record.Active)
			case "spares":
				add(item, record.Spare)
			case "failed":
				add(item, record.Failed)
			}
		}
	}
	return r, r.Validate()
}

// Describe is the line of a record.
func Describe(r record.Record) string {
	var pairs []string
	for _, p := range r.Pairs {
		pairs = append(pairs, p.DRS1+"/"+p.DRS2)
	}
	return fmt.Sprintf("fs=%s pairs=%s spares=%s failed=%s", r.FS.Name, strings.Join(pairs, ","),
		strings.Join(r.WithStatus(record.Spare), ","), strings.Join(r.WithStatus(record.Failed), ","))
}
