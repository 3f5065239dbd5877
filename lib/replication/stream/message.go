package stream

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"hafs/lib/replication/change"
)

// Hello is what a sender says first.
type Hello struct {
	Version    uint16 // the newest that both know, once it was read
	Cluster    string
	Generation uint64 // of the record the sender acts in; 0: none
	Name       string // of the sender
	Marker     []byte // of the share; nil: it has none
	Unmarked   bool   // the replica may have none too
	Through    bool   // a batch is answered only after the replicas of the receiver have it too
}

// Welcome is what a receiver says first.
type Welcome struct {
	Version  uint16 // that is spoken
	Cluster  string
	Position change.Position // of the replica
}

// Step is something for the receiver to do.
type Step struct {
	Path  string
	From  string // of OpLink and of a move: the path of what is there now
	Aside bool   // what has the name must first be taken out of the way: one of the two is a directory
	// Blocks says that the content starts as that of the file of this name: of Old, or if that is nil of the one whose hashes were asked for just before.
	Blocks  bool
	InPlace bool // and stays that file: Old is changed where it is. From version 3 on
	Old     *change.Entry
	Entry   *change.Entry // what is to be there
	Data    []byte        // all of a small file's content; of a large one it follows
}

// Op is what a Step does.
type Op byte

const (
	OpMakeDirectory Op = iota
	OpWrite            // Entry and Data
	OpWriteLarge       // followed by data; Entry is what it will probably be
	OpSymlink
	OpAttributes
	OpLink
	OpDelete
	OpFinish // attributes of a directory
	lastOp   = OpFinish
)

const (
	flagAside = 1 << iota
	flagBlocks
	flagInPlace
)

// appendStep writes all but the data, which comes last.
func appendStep(b []byte, s Step) []byte {
	flags := byte(0)
	if s.Aside {
		flags |= flagAside
	}
	if s.Blocks {
		flags |= flagBlocks
	}
	if s.InPlace {
		flags |= flagInPlace
	}
	b = appendText(append(b, flags), s.Path)
	return appendEntry(appendEntry(appendText(b, s.From), s.Entry), s.Old)
}

func cutStep(body []byte) (Step, error) {
	c := cutter{rest: body}
	flags := c.uint8()
	if flags&^(flagAside|flagBlocks|flagInPlace) != 0 {
		c.fail("unknown flags %x", flags)
	}
	s := Step{Aside: flags&flagAside != 0, Blocks: flags&flagBlocks != 0, InPlace: flags&flagInPlace != 0, Path: c.path()}
	if s.From = c.text(); s.From != "" {
		c.checked(s.From)
	}
	s.Entry, s.Old = c.entry(), c.entry()
	s.Data = c.rest
	return s, c.err
}

// check refuses steps that lack something or make no sense.
func (s Step) check(op Op) error {
	needs := map[Op]change.FileKind{
		OpMakeDirectory: change.Directory, OpWrite: change.File, OpWriteLarge: change.File, OpSymlink: change.Symlink, OpFinish: change.Directory,
	}[op]
	switch {
	case op > lastOp:
		return fmt.Errorf("%w: no step %d", ErrFrame, op)
	case s.Path == "." && op != OpFinish, s.From == ".":
		return fmt.Errorf("%w: step %d on the replica itself", ErrFrame, op)
	case needs != "" && (s.Entry == nil || s.Entry.Kind != needs), op == OpAttributes && s.Entry == nil:
		return fmt.Errorf("%w: step %d on %q without its entry", ErrFrame, op, s.Path)
	case op == OpLink && s.From == "":
		return fmt.Errorf("%w: link %q to nothing", ErrFrame, s.Path)
	case s.Entry != nil && !settable(s.Entry):
		return fmt.Errorf("%w: step %d on %q with a digest of attributes", ErrFrame, op, s.Path)
	case s.InPlace && (op != OpWriteLarge || !s.Blocks || s.Old == nil || s.Aside):
		return fmt.Errorf("%w: step %d on %q in place of nothing", ErrFrame, op, s.Path)
	case len(s.Data) > 0 && op != OpWrite:
		return fmt.Errorf("%w: step %d with data", ErrFrame, op)
	}
	return nil
}

// settable says whether an entry tells what its extended attributes are, or that they are to be left alone; a digest tells neither.
func settable(e *change.Entry) bool { return e.Xattrs.Known() || e.Xattrs == change.UnknownXattrs }

func appendHello(b []byte, h Hello) []byte {
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, Version), Oldest)
	b = binary.BigEndian.AppendUint64(appendText(b, h.Cluster), h.Generation)
	b = appendBool(appendBool(appendText(b, h.Name), h.Unmarked), h.Marker != nil)
	return appendBool(appendText(b, string(h.Marker)), h.Through)
}

// cutHello reads a greeting. What a newer version adds at its end is not looked at.
func cutHello(body []byte) (Hello, error) {
	c := cutter{rest: body}
	newest, oldest := c.uint16(), c.uint16()
	h := Hello{Version: min(newest, Version)}
	if c.err == nil && (newest < Oldest || oldest > Version) {
		return h, fmt.Errorf("the sender speaks versions %d to %d of the stream, the receiver %d to %d", oldest, newest, Oldest, Version)
	}
	h.Cluster, h.Generation, h.Name, h.Unmarked = c.text(), c.uint64(), c.text(), c.bool()
	marked := c.bool()
	if marker := c.text(); marked {
		h.Marker = []byte(marker)
	} else if marker != "" {
		c.fail("a marker that is none")
	}
	h.Through = c.bool()
	if newest > Version {
		return h, c.err
	}
	return h, c.end()
}

func appendWelcome(b []byte, w Welcome) []byte {
	return appendPosition(appendText(binary.BigEndian.AppendUint16(b, w.Version), w.Cluster), &w.Position)
}

func cutWelcome(body []byte) (Welcome, error) {
	c := cutter{rest: body}
	w := Welcome{Version: c.uint16()}
	if c.err == nil && (w.Version < Oldest || w.Version > Version) {
		return w, fmt.Errorf("the receiver speaks version %d of the stream, the sender %d to %d", w.Version, Oldest, Version)
	}
	w.Cluster = c.text()
	if p := c.position(); p != nil {
		w.Position = *p
	}
	return w, c.end()
}

func appendPaths(b []byte, sums bool, paths []string) []byte {
	b = appendBool(b, sums)
	for _, p := range paths {
		b = appendText(b, p)
	}
	return b
}

func cutPaths(body []byte) (paths []string, sums bool, err error) {
	c := cutter{rest: body}
	sums = c.bool()
	for c.err == nil && len(c.rest) > 0 {
		paths = append(paths, c.path())
	}
	return paths, sums, c.err
}

// Listing is a question for what is below a directory, in the order of Compare.
type Listing struct {
	Directory string
	After     string // leave out everything up to this path; empty: nothing
	Limit     int    // stop after so many; 0: never
	Sums      bool   // with the SHA-256 of files
}

func appendListing(b []byte, l Listing) []byte {
	b = appendText(appendText(appendBool(b, l.Sums), l.Directory), l.After)
	return binary.BigEndian.AppendUint32(b, uint32(l.Limit))
}

func cutListing(body []byte) (Listing, error) {
	c := cutter{rest: body}
	l := Listing{Sums: c.bool(), Directory: c.path(), After: c.text()}
	if l.After != "" {
		c.checked(l.After)
	}
	l.Limit = int(c.uint32())
	return l, c.end()
}

const (
	flagComplete = 1 << iota
	flagExact    // from version 5 on
)

func appendPosition(b []byte, p *change.Position) []byte {
	if p == nil {
		return appendBool(b, false)
	}
	b = binary.BigEndian.AppendUint64(appendBool(b, true), p.Generation)
	flags := byte(0)
	if p.Complete {
		flags |= flagComplete
	}
	if p.Exact {
		flags |= flagExact
	}
	return append(binary.BigEndian.AppendUint64(b, p.Number), flags)
}

func (c *cutter) position() *change.Position {
	if !c.bool() {
		return nil
	}
	p := &change.Position{Generation: c.uint64(), Number: c.uint64()}
	flags := c.uint8()
	if flags&^(flagComplete|flagExact) != 0 {
		c.fail("unknown flags %x", flags)
	}
	p.Complete, p.Exact = flags&flagComplete != 0, flags&flagExact != 0
	return p
}

func cutPosition(body []byte) (*change.Position, error) {
	c := cutter{rest: body}
	p := c.position()
	return p, c.end()
}

// history is what was done to the replica since it was at a position.
type history struct {
	known bool // this is all of it
	from  change.Position
	done  []change.Change
}

func appendHistory(b []byte, h history) []byte {
	b = appendPosition(appendBool(b, h.known), &h.from)
	for _, c := range h.done {
		b = appendText(appendBool(b, c.Kind == change.Rescan), c.Path)
	}
	return b
}

func cutHistory(body []byte) (history, error) {
	c := cutter{rest: body}
	h := history{known: c.bool()}
	if p := c.position(); p != nil {
		h.from = *p
	}
	for c.err == nil && len(c.rest) > 0 {
		one := change.Change{Kind: change.Look}
		if c.bool() {
			one.Kind = change.Rescan
		}
		one.Path = c.path()
		h.done = append(h.done, one)
	}
	return h, c.err
}

// Problem is an error on the receiver's side. It unwraps to the errno it came from.
type Problem struct {
	Text  string
	Errno syscall.Errno // 0: it was none
}

func (p Problem) Error() string { return p.Text }

func (p Problem) Unwrap() error {
	if p.Errno == 0 {
		return nil
	}
	return p.Errno
}

const maxProblemText = 1024

func appendProblem(b []byte, p Problem) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Errno))
	return appendText(b, p.Text[:min(len(p.Text), maxProblemText)])
}

func (c *cutter) problem() Problem {
	errno := syscall.Errno(c.uint32())
	return Problem{c.text(), errno}
}
