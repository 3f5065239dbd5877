package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// A large file of which little changes is changed where it is: a copy of a gigabyte for one byte takes seconds. What it becomes is on the disk, in a
// file outside of the replica, before the first byte of it is touched, and that is carried out again when it was not carried out in full. So nobody
// who is served here sees a file that is neither old nor new. The redo file has the frames as they came.

// changeInPlace changes a file by the frames that follow; see writeLarge.
func (b *carrying) changeInPlace(s Step) (err, lost error) {
	content := b.content()
	arriving := b.Redo + ".new"
	defer os.Remove(arriving)
	size := int64(0)
	content.err = b.stillOld(s)
	err = writeSynced(arriving, func(out io.Writer) error {
		if content.err == nil {
			_, content.err = out.Write(appendFrame(nil, kindStep+kind(OpWriteLarge), appendStep(nil, s)))
		}
		_, err := content.receive(func(f frame, _ piece) error {
			n, err := out.Write(appendFrame(nil, f.kind, f.body))
			size += int64(n)
			return err
		})
		return err
	})
	if whole, err, lost := b.arrives(content, err); !whole {
		return err, lost
	}
	// Once it is begun it has to be finished, so what could stop it is looked for before.
	room, err := b.root.Room()
	if err == nil && room < size {
		err = fmt.Errorf("%s: %w", s.Path, errNoRoom)
	}
	if err == nil {
		err = b.stillOld(s)
	}
	if err != nil {
		return err, nil
	}
	if err := b.allowed(); err != nil {
		return nil, err
	}
	if err := commit(arriving, b.Redo); err != nil {
		return err, nil
	}
	if err := b.replay(b.root); err != nil { // the next session begins with it
		return nil, fmt.Errorf("change in place: %w", err)
	}
	return nil, nil
}

// writeSynced makes a file that only root may read and syncs it.
func writeSynced(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, bufferBytes)
	if err := errors.Join(write(out), out.Flush()); err != nil {
		return err
	}
	return f.Sync()
}

// commit gives a file its name for good, or leaves nothing under it.
func commit(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		err = syncDirectory(to)
	}
	if err != nil {
		return errors.Join(err, discard(to))
	}
	return nil
}

// discard removes a redo file for good: an old one must not come back after a loss of power.
func discard(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirectory(path)
}

func syncDirectory(of string) error {
	d, err := os.Open(filepath.Dir(of))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// errNoRoom is what a full disk would say.
var errNoRoom = fmt.Errorf("no room to change it in place: %w", unix.ENOSPC)

// stillOld makes sure that a file is the one that the sender knows, and can be written.
func (b *carrying) stillOld(s Step) error {
	dir, name := change.Split(s.Path)
	in, err := b.root.Dir(dir)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := in.OpenToRewrite(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return sameAsOld(f, s)
}

// Recover carries out what a receiver before this one left half done. Until then nobody may read what is in the directory, nor serve it.
func (r *Receiver) Recover() error {
	if r.Redo == "" {
		return nil
	}
	if _, err := os.Lstat(r.Redo); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	root, err := tree.Open(r.Path)
	if err != nil {
		return fmt.Errorf("open replica: %w", err)
	}
	defer root.Close()
	root.Before = r.Before
	marker, err := root.Marker()
	if err == nil && marker == nil {
		err = fmt.Errorf("%s: a file is to be made whole here, but there is no marker %s: is it mounted?", r.Path, change.Marker)
	}
	if err == nil {
		err = lock(root)
	}
	if err != nil {
		return err
	}
	return r.replay(root)
}

// recover does what Recover does where the file can come anew: one that cannot be made whole goes.
func (s *serving) recover() error {
	err := s.replay(s.root)
	if err == nil || tree.Lost(err) && !errors.Is(err, unix.EIO) { // of a disk that is one file's
		return err
	}
	s.Log.Error().Err(err).Msg("a file that was being changed in place is neither old nor new: it is removed, and comes anew")
	if s.Note != nil { // a copy without it is not whole
		if err := s.Note(change.Position{}); err != nil {
			return fmt.Errorf("note the position: %w", err)
		}
	}
	step, err := readRedo(s.Redo, nil)
	if err != nil {
		return err
	}
	dir, name := change.Split(step.Path)
	in, err := s.root.Dir(dir)
	if err == nil {
		defer in.Close()
		err = s.remove(in, name)
	}
	if err != nil {
		return err
	}
	return discard(s.Redo)
}

// replay carries out what is in the redo file, once more if need be, and removes it. One that is not complete was never begun to be carried out.
func (r *Receiver) replay(root *tree.Root) error {
	if r.Redo == "" {
		return nil
	}
	step, err := readRedo(r.Redo, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errNoRedo):
		return discard(r.Redo)
	case err != nil:
		return err
	}
	dir, name := change.Split(step.Path)
	in, err := root.Dir(dir)
	if tree.Absent(err) {
		return discard(r.Redo)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	e, err := in.Lstat(name)
	if err != nil {
		return err
	}
	if e == nil || e.Kind != change.File || e.Ino != step.Old.Ino { // what is there now came after it
		return discard(r.Redo)
	}
	f, err := in.OpenToRewrite(name)
	if err != nil {
		return err
	}
	defer f.Close()
	err = in.Rewrite(f, step.Entry, func() error {
		_, err := readRedo(r.Redo, func(p piece) error { return p.put(f) })
		return err
	})
	if err != nil {
		return err
	}
	return discard(r.Redo)
}

// errNoRedo means that a redo file is not complete.
var errNoRedo = errors.New("not complete")

// readRedo reads a redo file to its end. It returns the step, with the entry that the file gets in the end.
func readRedo(path string, take func(piece) error) (Step, error) {
	file, err := os.Open(path)
	if err != nil {
		return Step{}, err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, bufferBytes)
	head, err := readFrame(in)
	if err != nil {
		return Step{}, endOfRedo(err)
	}
	step, err := cutStep(head.body)
	if err == nil {
		err = step.check(Op(head.kind - kindStep))
	}
	if err != nil || !step.InPlace {
		return Step{}, errNoRedo
	}
	var buffer []byte
	c := content{next: func() (frame, error) { return readFrameInto(in, &buffer) }}
	step.Entry, err = c.receive(func(_ frame, p piece) error {
		if take == nil {
			return nil
		}
		return take(p)
	})
	return step, endOfRedo(err)
}

// endOfRedo tells a redo file that ends too early from one that cannot be read.
func endOfRedo(err error) error {
	if errors.Is(err, ErrFrame) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errNoRedo
	}
	return err
}
