// Package commandtest runs scripts of a real program (rogpeppe/go-internal/testscript) on a server that is only files: settings, record, run
// directory and share, all below the script's own directory. No daemon runs there, and no address of the record exists.
//
// Scripts know, beside testscript's own commands and the program:
//
//	server L1 'fs=L1 pairs=W3/M2 spares=M3'   this server is L1, its generation is 7; settings are in hafs.yml
//	exits 3 hafs-promote failed X9            the exit status, exactly
//	[root] skip 'root reads every file'
package commandtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/testkit/recordtest"
)

// Main is TestMain of a program: the test binary stands for it.
func Main(m *testing.M, name string, main func()) {
	testscript.Main(m, map[string]func(){name: main})
}

// Run runs the scripts in testdata/script.
func Run(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": func(ts *testscript.TestScript, neg bool, args []string) { ts.Check(server(ts.MkAbs("."), args)) },
			"exits":  exits,
		},
		Condition: func(condition string) (bool, error) {
			if condition == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
	})
}

// exits runs a program and compares its exit status; its output can be looked at by the commands that follow.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARGUMENT...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		status = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%s ended with %d, not %s", args[1], status, args[0])
	}
}

// server lays a server out in a directory.
func server(dir string, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: server NAME 'RECORD'")
	}
	r, err := recordtest.Read(args[1])
	if err != nil {
		return err
	}
	below := func(name string) string { return filepath.Join(dir, name) }
	for i := range r.Servers {
		r.Servers[i].Address = nowhere(r.Servers[i].Address)
	}
	r.FS.VirtualAddress = nowhere(r.FS.VirtualAddress)
	r.FS.SharedArea, r.DataDirectory = below("nfs"), below("nfs")
	r.FS.Link, r.ClientMount = below("system"), below("system")
	for i := range r.FS.MountPoints {
		r.FS.MountPoints[i] = below(fmt.Sprintf("mp/S%d", i+1))
	}
	for _, d := range []string{"run", "nfs", "state"} {
		if err := os.Mkdir(below(d), 0o755); err != nil {
			return err
		}
	}
	settings := fmt.Sprintf("name: %s\nstate_directory: %s\nrun_directory: %s\ncluster_directory: %s\nssh_directory: %s\n",
		args[0], below("state"), below("run"), below("state/current"), below("ssh"))
	return errors.Join(
		os.WriteFile(below("hafs.yml"), []byte(settings), 0o644),
		os.WriteFile(below("nfs/"+gate.Marker), []byte("cluster: "+r.Cluster+"\n"), 0o644),
		record.Store{Directory: below("state")}.Install(r),
	)
}

// nowhere is an address that is kept free for examples (RFC 5737) in the place of one that this machine might have.
func nowhere(address string) string { return strings.Replace(address, "192.168.1.", "192.0.2.", 1) }
