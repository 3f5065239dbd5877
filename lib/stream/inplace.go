package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
)

// A large file of which little changes is changed where it is: a copy of a gigabyte for one byte takes seconds. What it becomes is on the disk in a
// file of its own before the first byte of it is touched, and that is carried out again when it was not carried out in full. So nobody who is served
// here sees a file that is neither old nor new. The redo file has the frames as they came.

// changeInPlace changes a file by the frames that follow; see writeLarge.
func (b *carrying) changeInPlace(s Step) (err, lost error) {
	content := b.content()
	top, err := b.root.Dir(".")
	if err != nil {
		return err, b.skipContent()
	}
	defer top.Close()
	err = top.WriteRedo(func(redo *os.File) error {
		out := bufio.NewWriterSize(redo, bufferBytes)
		_, content.err = out.Write(appendFrame(nil, kindStep+kind(OpWriteLarge), appendStep(nil, s)))
		if content.err == nil {
			content.err = b.stillOld(s)
		}
		_, err := content.receive(func(f frame, _ piece) error {
			_, err := out.Write(appendFrame(nil, f.kind, f.body))
			return err
		})
		return errors.Join(err, out.Flush())
	})
	if !content.ended && content.lost == nil {
		content.lost = b.skipContent()
	}
	switch {
	case content.lost != nil:
		return err, content.lost
	case errors.Is(err, errGivenUp):
		return nil, nil
	case err != nil:
		return err, nil
	}
	if err := b.root.Sync("."); err != nil {
		return err, nil
	}
	if err := b.allowed(); err != nil {
		top.Discard(change.Redo)
		return nil, err
	}
	if err := replay(b.root); err != nil { // the next session begins with it
		return nil, fmt.Errorf("change in place: %w", err)
	}
	return nil, nil
}

func (b *carrying) stillOld(s Step) error {
	f, err := b.root.OpenFile(s.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return sameAsOld(f, s)
}

// Recover carries out what a receiver before this one left half done. Until then nobody may read what is in the directory, nor serve it.
func (r *Receiver) Recover() error {
	root, err := tree.Open(r.Path)
	if err != nil {
		return fmt.Errorf("open replica: %w", err)
	}
	defer root.Close()
	if e, err := root.Lstat(change.Redo); e == nil {
		return err
	}
	if err := lock(root); err != nil {
		return err
	}
	return r.recover(root)
}

func (r *Receiver) recover(root *tree.Root) error {
	err := replay(root)
	if err == nil || tree.Lost(err) {
		return err
	}
	r.Log.Error().Err(err).Msg("a file that was being changed in place is neither old nor new: it is removed, and comes anew")
	if r.Note != nil { // a copy without it is not whole
		if err := r.Note(Position{}); err != nil {
			return fmt.Errorf("note the position: %w", err)
		}
	}
	step, err := readRedo(root, nil)
	if err != nil {
		return err
	}
	dir, name := change.Split(step.Path)
	in, err := root.Dir(dir)
	if err == nil {
		defer in.Close()
		err = in.RemoveTree(name)
	}
	if err != nil {
		return err
	}
	return discardRedo(root)
}

// replay carries out what is in the redo file, once more if need be, and removes it. One that is not complete was never begun to be carried out.
func replay(root *tree.Root) error {
	step, err := readRedo(root, nil)
	switch {
	case tree.Absent(err):
		return nil
	case errors.Is(err, errNoRedo):
		return discardRedo(root)
	case err != nil:
		return err
	}
	dir, name := change.Split(step.Path)
	in, err := root.Dir(dir)
	if tree.Absent(err) {
		return discardRedo(root)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	e, err := in.Lstat(name)
	if err != nil {
		return err
	}
	if e != nil && e.Kind == change.File && e.Ino == step.Old.Ino { // otherwise what is there now came after it
		err = in.Rewrite(name, func(f *os.File) (*change.Entry, error) {
			done, err := readRedo(root, func(p piece) error { return p.put(f) })
			return done.Entry, err
		})
	}
	if err != nil {
		return err
	}
	return discardRedo(root)
}

// errNoRedo means that a redo file is not complete.
var errNoRedo = errors.New("not complete")

// readRedo reads the redo file to its end. It returns the step, with the entry that the file gets in the end.
func readRedo(root *tree.Root, take func(piece) error) (Step, error) {
	file, err := root.OpenFile(change.Redo)
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

func discardRedo(root *tree.Root) error {
	top, err := root.Dir(".")
	if err != nil {
		return err
	}
	defer top.Close()
	if err := top.RemoveTree(change.Redo); err != nil {
		return err
	}
	return root.Sync(".") // an old one must not come back after a loss of power
}
