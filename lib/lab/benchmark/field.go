package benchmark

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"hafs/lib/lab/errand"
	"hafs/lib/lab/experiment"
	"hafs/lib/lab/guests"
	"hafs/lib/lab/witness"
)

// Field is where it is measured: guests with a cluster of HAFS on them and the programs of its peers.
type Field struct {
	Lab     *guests.Lab
	Program string // this program, linked statically: it runs errands on guests
	cluster experiment.Bench
}

// NewField is the guests of a lab.
func NewField(l *guests.Lab, program string) *Field {
	return &Field{Lab: l, Program: program, cluster: experiment.Bench{Lab: l, Program: program, Client: client}}
}

const (
	onGuest   = "/var/lib/hafs-lab"
	programOn = onGuest + "/hafs-lab"
	directory = "/srv/bench" // of all subjects that do not choose their own
)

var (
	keepers = []string{source, first, second}
	users   = []string{source, first, second, client}
)

// sshConfig lets root of a guest reach the others by name. A name with "kept-" before it stands for a connection that is kept.
func sshConfig() string {
	var b strings.Builder
	for _, m := range guests.Members() {
		fmt.Fprintf(&b, "Host %s kept-%s\n    HostName %s\n", m.Name, m.Name, m.Address)
	}
	fmt.Fprint(&b, `Host kept-*
    ControlMaster auto
    ControlPath /run/kept-%n
    ControlPersist yes
Host *
    IdentityFile /root/.ssh/bench
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
`)
	return b.String()
}

// prepare gives guests what subjects need: this program, names, and a key to reach each other with. What Debian starts by itself is stopped.
func (f *Field) prepare(ctx context.Context) error {
	f.say("prepare %s", strings.Join(users, " "))
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for _, m := range guests.Members() {
		fmt.Fprintf(&hosts, "%s %s\n", m.Address, m.Name)
	}
	problems := make([]error, len(users))
	var group sync.WaitGroup
	for i, on := range users {
		group.Go(func() { problems[i] = f.equip(ctx, on, hosts.String()) })
	}
	group.Wait()
	return errors.Join(problems...)
}

func (f *Field) equip(ctx context.Context, on, hosts string) error {
	m, err := guests.Find(on)
	if err != nil {
		return err
	}
	_, disabled := f.sh(ctx, on, `for u in lsyncd csync2.socket glusterd keepalived; do
  ! systemctl is-active -q $u || systemctl stop $u
  ! systemctl is-enabled -q $u 2>/dev/null || systemctl disable $u 2>&1
done`)
	return errors.Join(disabled,
		f.Lab.Push(ctx, m, f.Program, programOn),
		f.Lab.Push(ctx, m, f.Lab.KeyPath(), "/root/.ssh/bench"),
		f.put(ctx, on, "/root/.ssh/config", "600", sshConfig()),
		f.put(ctx, on, "/etc/hosts", "644", hosts),
	)
}

// sh runs a script on a guest and returns what it printed.
func (f *Field) sh(ctx context.Context, on, script string) (string, error) {
	return f.command(ctx, on, nil, "/bin/sh", "-euc", script)
}

func (f *Field) command(ctx context.Context, on string, in io.Reader, command ...string) (string, error) {
	m, err := guests.Find(on)
	if err != nil {
		return "", err
	}
	var out, complaints bytes.Buffer
	status, err := f.Lab.Exec(ctx, m, command, guests.Streams{In: in, Out: &out, Err: &complaints})
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d: %s", status, bytes.TrimSpace(append(complaints.Bytes(), out.Bytes()...)))
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s on %s: %w", strings.Join(command, " "), on, err)
	}
	return out.String(), nil
}

// shAll runs a script on several guests at once.
func (f *Field) shAll(ctx context.Context, guests []string, script string) error {
	problems := make([]error, len(guests))
	var group sync.WaitGroup
	for i, on := range guests {
		group.Go(func() { _, problems[i] = f.sh(ctx, on, script) })
	}
	group.Wait()
	return errors.Join(problems...)
}

// put writes a file on a guest.
func (f *Field) put(ctx context.Context, on, path, mode, text string) error {
	_, err := f.command(ctx, on, strings.NewReader(text), "install", "-D", "-m", mode, "/dev/stdin", path)
	return err
}

// begin runs a command on a guest as a service that ends with it, and end ends services.
func (f *Field) begin(ctx context.Context, on, unit, script string) error {
	_, err := f.command(ctx, on, nil, "systemd-run", "--quiet", "--collect", "--unit=bench-"+unit, "--setenv=HOME=/root",
		"--property=LimitNOFILE=65536", "/bin/bash", "-uc", script)
	return err
}

func (f *Field) end(ctx context.Context, guests ...string) error {
	return f.shAll(ctx, guests, "systemctl stop 'bench-*.service' 2>&1")
}

// clear removes the directory of a subject on all guests, and makes it anew.
func (f *Field) clear(ctx context.Context) error {
	return f.shAll(ctx, keepers, "rm -rf "+directory+" && mkdir -p "+directory)
}

// keep opens a connection from one guest to another that is kept.
func (f *Field) keep(ctx context.Context, from, to string) error {
	_, err := f.sh(ctx, from, "ssh kept-"+to+" true </dev/null >/dev/null 2>&1")
	return err
}

func (f *Field) unkeep(ctx context.Context) error {
	return f.shAll(ctx, users, "for s in /run/kept-*; do ! test -S $s || ssh -O exit ${s#/run/} 2>/dev/null || rm -f $s; done")
}

// errand runs an errand on a guest to its end.
func (f *Field) errand(ctx context.Context, on string, arguments ...string) ([]errand.Done, error) {
	out, err := f.command(ctx, on, nil, append([]string{programOn, "errand"}, arguments...)...)
	if err != nil {
		return nil, err
	}
	return decode[errand.Done](strings.NewReader(out))
}

func decode[T any](in io.Reader) ([]T, error) {
	var all []T
	for decoder := json.NewDecoder(in); ; {
		var one T
		if err := decoder.Decode(&one); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, one)
	}
}

// watch starts an errand that waits, and returns when it is ready. The function returned waits for its end.
func (f *Field) watch(ctx context.Context, on string, arguments ...string) (func() ([]errand.Seen, error), error) {
	m, err := guests.Find(on)
	if err != nil {
		return nil, err
	}
	in, out := io.Pipe()
	var complaints bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		status, err := f.Lab.Exec(ctx, m, append([]string{programOn, "errand"}, arguments...), guests.Streams{Out: out, Err: &complaints})
		if err == nil && status != 0 {
			err = fmt.Errorf("%s", bytes.TrimPrefix(bytes.TrimSpace(complaints.Bytes()), []byte("hafs-lab: ")))
		}
		out.Close()
		ended <- err
	}()
	lines := bufio.NewReader(in)
	if line, err := lines.ReadString('\n'); err != nil || line != errand.Ready+"\n" {
		return nil, fmt.Errorf("%s on %s: %w", arguments[0], on, errors.Join(err, <-ended))
	}
	// Read as it comes: whoever waits must not have to wait for us.
	var seen []errand.Seen
	var problem error
	read := make(chan struct{})
	go func() {
		defer close(read)
		seen, problem = decode[errand.Seen](lines)
	}()
	return func() ([]errand.Seen, error) {
		<-read
		if err := errors.Join(problem, <-ended); err != nil {
			return seen, fmt.Errorf("%s on %s: %w", arguments[0], on, err)
		}
		return seen, nil
	}, nil
}

// changed is one change, and when each replica showed it.
type changed struct {
	errand.Done
	seen []int64
}

// after is the time from the last call until a replica was the same, total that from the first.
func (c changed) after(replica int) float64 { return seconds(c.seen[replica] - c.Ended) }
func (c changed) total(replica int) float64 { return seconds(c.seen[replica] - c.Begun) }

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

// change runs an errand on the source while others wait on the replicas for what it leads to.
func (f *Field) change(ctx context.Context, s Subject, what []string, wait func(Place) []string) (changed, error) {
	var waits []func() ([]errand.Seen, error)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, p := range s.Replicas() {
		w, err := f.watch(watching, p.Guest, wait(p)...)
		if err != nil {
			return changed{}, err
		}
		waits = append(waits, w)
	}
	if s.Then() != "" {
		what = append([]string{what[0], "--then", s.Then()}, what[1:]...)
	}
	done, err := f.errand(ctx, s.Source().Guest, what...)
	if err != nil {
		return changed{}, err
	}
	c := changed{Done: done[0]}
	for _, w := range waits {
		seen, err := w()
		if err != nil {
			return c, err
		}
		c.seen = append(c.seen, seen[0].At)
	}
	return c, nil
}

func (f *Field) say(format string, values ...any) { f.Lab.Log.Info().Msgf(format, values...) }

// reader reads files of a guest from outside.
func reader(f *Field, at Place) (func(string) ([]byte, error), func() error, error) {
	return witness.Reader(f.Lab, at.Guest, at.Directory)
}
