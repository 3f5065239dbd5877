// Package benchmark measures HAFS beside what people use instead, in the same guests, in one run. A subject is one way to keep a directory on
// three servers; a work is something that is done to the directory. Everything that is timed happens on the guests (package errand).
//
// One file holds one subject or one work. statistics.go, table.go, report.go and picture.go are pure but for saving.
package benchmark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// Place is a directory on a guest.
type Place struct{ Guest, Directory string }

// Below is a name in the directory.
func (p Place) Below(name string) string { return filepath.Join(p.Directory, name) }

// Subject is one way to keep copies of a directory.
type Subject interface {
	Name() string
	Settings() []string // what was chosen for it, a line each
	// Start starts it with an empty directory. It may return before everything works.
	Start(ctx context.Context, f *Field) error
	// Stop ends it and takes its files away. It is called after a failed Start too.
	Stop(ctx context.Context, f *Field) error
	Source() Place
	Replicas() []Place // the first and the second
	Then() string      // program on the source's guest that has to be run after a change; "": it notices by itself
}

// mounted is a subject that a client can use from another guest.
type mounted interface {
	// Mount makes the directory available on the client's guest.
	Mount(ctx context.Context, f *Field) (Place, error)
}

// The guests' parts.
const (
	source = "L1"
	first  = "W3"
	second = "M2"
	client = "W2"
)

// Subjects are all of them, in the order in which they are measured. The first is what others are compared with.
func Subjects() []Subject {
	return []Subject{
		&rsync{}, &rsync{kept: true}, newHAFS("stream"), newHAFS("paper"), &lsyncd{}, &csync2{}, &syncthing{}, &unison{}, &glusterfs{}, &keepalived{},
	}
}

// Baseline names the subject that others are compared with.
const Baseline = "rsync"

// work is something that is measured.
type work struct {
	name, title string
	does        func(ctx context.Context, r *run, s Subject) error
	only        []string // subjects that it is for; nil: all but keepalived, whose copies are lsyncd's
	slow        []string // of them: those that take so long over it that they have to be asked for by name
	asked       bool     // it takes so long that it has to be asked for by name itself
}

var works = []work{
	{name: "latency", title: "One 4 KiB file, from the first call of its writing until it is the same on a replica", does: latency},
	{name: "files", title: "10,000 files of 4 KiB in 100 folders", does: files},
	{name: "large", title: "One file of 1 GiB", does: large},
	{name: "idle", title: "30 s in which nothing happens, with 100,000 files", does: idle,
		only: []string{"hafs-stream", "hafs-paper", "lsyncd", "csync2", "syncthing", "unison"}, slow: []string{"hafs-paper", "csync2"}},
	{name: "acknowledge", title: "A client on another server creates, writes and closes a file of 4 KiB", does: acknowledge,
		only: []string{"rsync", "hafs-stream", "glusterfs", "keepalived"}},
	{name: "failover", title: "The serving server fails while a client writes and reads every 20 ms", does: failover,
		only: []string{"hafs-stream", "glusterfs", "keepalived"}},
	{name: "kills", title: "The serving server is killed again and again while a client writes without a pause", does: kills, only: []string{"hafs-stream"}},
	{name: "scale", title: "Three pairs, with so many files of 200 bytes in the share: hafs-mirror's memory, and the loss of FS as in kills", does: scale,
		only: []string{"hafs-stream"}, asked: true},
}

// isChosen is whether the work is among those asked for; none: all that need not be.
func (w work) isChosen(names []string) bool {
	return slices.Contains(names, w.name) || len(names) == 0 && !w.asked
}

// isFor is whether the work is done with a subject, which was asked for by name or not.
func (w work) isFor(subject string, named bool) bool {
	if w.only == nil {
		return subject != (&keepalived{}).Name()
	}
	return slices.Contains(w.only, subject) && (named || !slices.Contains(w.slow, subject))
}

// Works names what can be measured.
func Works() []string {
	var all []string
	for _, w := range works {
		all = append(all, w.name)
	}
	return all
}

// Options say what to measure.
type Options struct {
	Subjects   []string // empty: all
	Work       []string // empty: all that need not be asked for
	Rounds     int      // of files, large and scale
	Kills      int
	Files      int    // of latency and acknowledge
	ShareFiles int    // that the share holds in scale; more than fewFiles
	Out        string // folder of report.json and the pictures
}

// run is one benchmark under way.
type run struct {
	*Field
	Options
	report *Report
}

// Run measures. What was measured so far is in the report whenever it stops. A subject that fails at a work is in the report too, and the next one follows.
func Run(ctx context.Context, f *Field, o Options) (*Report, error) {
	r := &run{Field: f, Options: o, report: &Report{Started: time.Now(), CPUs: runtime.NumCPU()}}
	if err := o.check(); err != nil {
		return r.report, err
	}
	if err := f.prepare(ctx); err != nil {
		return r.report, err
	}
	for _, s := range Subjects() {
		if !chosen(o.Subjects, s.Name()) {
			continue
		}
		r.subject(ctx, s)
		if err := r.save(); err != nil {
			return r.report, err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() == nil {
		r.report.Ended = time.Now()
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	return r.report, errors.Join(ctx.Err(), r.save(), f.serveHAFSAgain(ending))
}

func (o Options) check() error {
	var known []string
	for _, s := range Subjects() {
		known = append(known, s.Name())
	}
	for _, list := range []struct {
		what         string
		names, known []string
	}{{"subject", o.Subjects, known}, {"work", o.Work, Works()}} {
		for _, name := range list.names {
			if !slices.Contains(list.known, name) {
				return fmt.Errorf("no %s is called %q; there are %s", list.what, name, strings.Join(list.known, " "))
			}
		}
	}
	if o.Rounds < 1 || o.Kills < 0 || o.Files < 1 {
		return errors.New("rounds and files start at 1, kills at 0")
	}
	if o.ShareFiles <= fewFiles {
		return fmt.Errorf("a share of many files holds more than %d", fewFiles)
	}
	return nil
}

func chosen(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

// subject measures one subject.
func (r *run) subject(ctx context.Context, s Subject) {
	var todo []work
	for _, w := range works {
		if w.isChosen(r.Work) && w.isFor(s.Name(), len(r.Subjects) > 0) && !(w.name == "kills" && r.Kills == 0) {
			todo = append(todo, w)
		}
	}
	if len(todo) == 0 {
		return
	}
	r.say("%s: %s", s.Name(), strings.Join(s.Settings(), "; "))
	r.report.Subjects = append(r.report.Subjects, SubjectReport{s.Name(), s.Settings()})
	defer func() {
		// Also when the run is broken off: what is left running would be in the next run's way.
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
		defer cancel()
		if err := s.Stop(stopping, r.Field); err != nil {
			r.fail(s, "stop", err)
		}
	}()
	if err := r.start(ctx, s); err != nil {
		r.fail(s, "start", err)
		return
	}
	for _, w := range todo {
		begun := time.Now()
		r.say("%s: %s", s.Name(), w.name)
		err := w.does(ctx, r, s)
		if err != nil {
			r.fail(s, w.name, err)
		}
		if _, ours := s.(*hafs); ours {
			lines, err := r.complaints(ctx, begun)
			if err != nil {
				r.fail(s, w.name, err)
			}
			r.report.Complaints = append(r.report.Complaints, lines...)
		}
		if ctx.Err() != nil {
			return
		}
		r.say("%s: %s took %.0f s, load %s", s.Name(), w.name, time.Since(begun).Seconds(), load())
	}
}

// start returns when a first file has come through to all replicas.
func (r *run) start(ctx context.Context, s Subject) error {
	if err := r.othersStop(ctx, s); err != nil {
		return err
	}
	if err := s.Start(ctx, r.Field); err != nil {
		return err
	}
	r.spread(ctx, s)
	return r.folder(ctx, s, "begin")
}

// spread has the kernel put each folder elsewhere on the disk, as it does with those at the top of one. All guests share a disk, and ext4 without a
// journal is slow for minutes where many files were removed.
func (r *run) spread(ctx context.Context, s Subject) {
	for _, p := range append(s.Replicas(), s.Source()) {
		if _, err := r.sh(ctx, p.Guest, "chattr +T "+p.Directory); err != nil {
			r.say("%s: %s is as the disk has it: %v", s.Name(), p.Directory, err)
		}
	}
}

// folder makes a folder in the source and waits until it is on all replicas.
func (r *run) folder(ctx context.Context, s Subject, name string) error {
	_, err := r.change(ctx, s, []string{"burst", "--files=1", s.Source().Below(name)},
		func(p Place) []string {
			return []string{"filled", "--files=1", "--within", startLimit.String(), p.Below(name)}
		})
	return err
}

// startLimit is how long a subject may take to start and to stop.
const startLimit = 90 * time.Second

func (r *run) fail(s Subject, work string, err error) {
	r.say("%s: %s FAILED: %v", s.Name(), work, err)
	r.report.Failures = append(r.report.Failures, Failure{s.Name(), work, err.Error()})
}

func (r *run) add(s Subject, work, what, unit string, values ...float64) {
	if len(values) == 0 {
		return
	}
	m := r.report.add(s.Name(), work, what, unit, load(), values)
	r.say("%s: %s, %s: %s", s.Name(), work, what, m)
}

func (r *run) save() error {
	if err := os.MkdirAll(r.Out, 0o755); err != nil {
		return err
	}
	if err := r.report.Save(filepath.Join(r.Out, "report.json")); err != nil {
		return err
	}
	for name, svg := range r.report.Pictures() {
		if err := renameio.WriteFile(filepath.Join(r.Out, name+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// load is the machine's load of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(text))[0]
}
