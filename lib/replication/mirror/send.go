package mirror

import (
	"errors"
	"os"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// sending sends steps in one batch. What the replica has then is noted when it has said so.
type sending struct {
	share    *tree.Root
	journal  *journal
	batch    *stream.Batch
	durable  []string // what is waited for
	progress func()
	torn     func() bool // see Stream
	notes    []note
	steps    []stream.Step   // as they were told, by their number
	unread   []pathError     // files of the share
	roomless []string        // what was not sent because there is no room
	unsent   map[string]bool // those, as far as they have further names: no other name is made for what the replica has instead
	waiting  []string        // names to be looked at again: another file has them by now, or they were to be made for one that lost the name it was to be read by
	bytes    int64           // of content
}

// pathError is the error of one path.
type pathError struct {
	path string
	err  error
}

// step sends a step; see stream.Batch.
func (s *sending) step(op stream.Op, told stream.Step) (int, error) {
	number, err := s.batch.Step(op, told)
	told.Data = nil
	s.steps = append(s.steps, told)
	return number, err
}

func (s *sending) failed(path string, err error) { s.unread = append(s.unread, pathError{path, err}) }

// note is what a step makes true.
type note struct {
	number int // of the step in the batch
	step   *Step
	entry  *change.Entry
	hash   uint64
	blocks []uint64 // of a large file
}

// all sends all steps, one after the other; no answer is waited for. An error means that the session is over.
func (s *sending) all(steps []Step) error {
	for i := range steps {
		if s.batch.Full() && steps[i].Op < Delete {
			s.roomless = append(s.roomless, steps[i].Path)
			continue
		}
		if err := s.one(&steps[i]); err != nil {
			return err
		}
	}
	return nil
}

var streamOps = map[Op]stream.Op{
	MakeDirectory: stream.OpMakeDirectory, MakeSymlink: stream.OpSymlink, SetAttributes: stream.OpAttributes, Link: stream.OpLink,
	Delete: stream.OpDelete, Finish: stream.OpFinish,
}

func (s *sending) one(step *Step) error {
	told := stream.Step{Path: step.Path, From: step.From, Aside: step.Aside(), Entry: step.Source}
	if step.Op != Finish && step.Path != "." {
		s.journal.unsettle(parent(step.Path))
	}
	switch step.Op {
	case Write:
		before := len(s.notes)
		err := s.write(step, told)
		if len(s.notes) == before && step.Source.Nlink > 1 {
			s.unsent[step.Path] = true
		}
		return err
	case Link:
		if s.unsent[step.From] {
			s.waiting = append(s.waiting, step.Path)
			return nil
		}
	case MakeDirectory:
		told.Aside = step.Replica != nil
	case Finish:
		e, err := s.share.Lstat(step.Path)
		if err != nil {
			s.failed(step.Path, err)
		}
		if err != nil || !isDirectory(e) {
			return nil
		}
		told.Entry = e
	}
	number, err := s.step(streamOps[step.Op], told)
	s.notes = append(s.notes, note{number: number, step: step, entry: told.Entry})
	return err
}

func (s *sending) write(step *Step, told stream.Step) error {
	file, err := openSource(s.share, step)
	if errors.Is(err, ErrVanished) { // an event tells of it, but not of further names; and what the replica has there must not count for what was looked at
		if step.Replica != nil {
			s.waiting = append(s.waiting, step.Path)
		}
		return nil
	}
	if err != nil {
		s.failed(step.Path, err)
		return nil
	}
	defer file.Close()
	if step.Source.Size <= stream.SmallBytes {
		small := &memory{make([]byte, 0, step.Source.Size)}
		e, hash, err := copyStable(file, small, s.progress)
		if err == nil {
			told.Entry, told.Data = e, small.data
			s.bytes += int64(len(small.data))
			number, err := s.step(stream.OpWrite, told)
			s.notes = append(s.notes, note{number, step, e, hash, nil})
			return err
		}
		if !errors.Is(err, errLarge) {
			s.failed(step.Path, err)
			return nil
		}
	}
	return s.writeLarge(file, step, told)
}

// writeLarge sends a file in pieces, and only those the replica does not have if it has an older version, or a part of this one.
func (s *sending) writeLarge(file *os.File, step *Step, told stream.Step) (err error) {
	l := &large{file: file, torn: s.torn, batch: s.batch, progress: s.progress}
	var same bool
	if l.sums, same = s.journal.blocks(step.Path, step.Source, step.Replica); l.sums != nil {
		told.Blocks, told.Old = true, step.Replica
		told.InPlace = same && step.Source.Nlink == 1 && step.Replica.Nlink == 1 && s.batch.InPlace()
	} else if worthHashing(step) {
		if l.blocks, err = s.batch.Blocks(step.Path); err != nil {
			return err
		}
		told.Blocks = len(l.blocks) > 0
	}
	number, err := s.step(stream.OpWriteLarge, told)
	if err != nil {
		return err
	}
	e, err := l.send()
	s.bytes += l.sent
	if l.lost != nil {
		return l.lost
	}
	if err != nil {
		s.failed(step.Path, err)
		return s.batch.GiveUp()
	}
	s.notes = append(s.notes, note{number, step, e, l.hash(), l.sums})
	return s.batch.Done(e)
}

// hashBytes is the smallest size, on both sides, that is worth a round trip and reading the replica's file.
const hashBytes = 1 << 20

// worthHashing says whether the replica may have blocks of a file: an older version, or what has arrived of it before.
func worthHashing(s *Step) bool {
	return s.Source.Size >= stream.KeepBytes || isFile(s.Replica) && min(s.Replica.Size, s.Source.Size) >= hashBytes
}

// noted notes what a batch has made true, in the order it was done.
func (s *sending) noted(r stream.Result) {
	unmade := map[string]bool{}
	for _, n := range s.notes {
		path := n.step.Path
		if n.step.Op == MakeDirectory {
			s.journal.drop(path)
			unmade[path] = !r.Done(n.number)
		}
		if !r.Done(n.number) || n.step.Op == Finish && unmade[path] { // there is nothing then whose attributes could fail
			if n.step.Op == Write {
				s.journal.distrust(path)
			}
			continue
		}
		switch n.step.Op {
		case MakeDirectory:
			s.journal.directory(path, n.entry)
		case Write:
			s.journal.written(path, n.entry, n.hash, n.blocks)
		case MakeSymlink:
			s.journal.same(path, n.entry)
		case SetAttributes:
			if n.entry.Kind == change.File {
				s.journal.keep(path, n.entry)
			}
		case Link:
			s.journal.linked(n.step.From, path, n.entry)
		case Finish:
			s.journal.settle(path, n.entry)
		}
	}
}
