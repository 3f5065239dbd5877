package stream

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"hafs/lib/replication/change"
	"hafs/lib/replication/tree"
)

// write makes a small file.
func (b *carrying) write(s Step) error {
	dir, name := change.Split(s.Path)
	to, err := b.root.Dir(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	temporary, err := to.WriteTemporary(s.Entry.Mode, b.durable(s.Path), func(f *os.File) (*change.Entry, error) {
		return s.Entry, tree.WriteAt(f, s.Data, 0)
	})
	if err != nil {
		return err
	}
	return to.Publish(temporary, name, s.Aside)
}

var (
	errGivenUp = errors.New("the sender cannot read it")
	errChanged = errors.New("the file that the content was to begin with is not there any more")
)

// KeepBytes is the size from which on a file that has not arrived in full is kept, to be gone on with.
const KeepBytes = 8 << 20

// writeLarge makes a file from the frames that follow. They are all read, whatever happens to the file; only lost ends the session.
func (b *carrying) writeLarge(s Step) (err, lost error) {
	content := b.content()
	dir, name := change.Split(s.Path)
	to, err := b.root.Dir(dir)
	if err != nil {
		return err, b.skipContent()
	}
	defer to.Close()
	resume := s.Blocks && s.Old == nil && b.partial && b.path == s.Path
	fill := func(f *os.File) (*change.Entry, error) {
		switch {
		case resume:
			content.err = b.sameAsHashed(f, s)
		case s.Blocks:
			content.err = b.copyOld(f, s)
		}
		return content.receive(func(_ frame, p piece) error { return p.put(f) })
	}
	var temporary string
	if resume || s.Entry.Size >= KeepBytes {
		keep := func() bool {
			kept := content.lost != nil && content.err == nil
			b.partly(s.Path, kept)
			return kept
		}
		temporary, err = to.WritePartial(name, resume, s.Entry.Mode, b.durable(s.Path), fill, keep)
	} else {
		temporary, err = to.WriteTemporary(s.Entry.Mode, b.durable(s.Path), fill)
	}
	if whole, err, lost := b.arrives(content, err); !whole {
		return err, lost
	}
	if err := b.mayGoOn(); err != nil {
		to.Discard(temporary)
		return nil, err
	}
	b.partly(s.Path, false)
	return to.Publish(temporary, name, s.Aside), nil
}

// arrives says whether all of the content has come, and nothing went wrong with it; err is what did.
func (b *carrying) arrives(c *content, err error) (whole bool, failed, lost error) {
	if !c.ended && c.lost == nil { // it did not come to that
		c.lost = b.skipContent()
	}
	switch {
	case c.lost != nil:
		return false, err, c.lost
	case errors.Is(err, errGivenUp): // the sender knows
		return false, nil, nil
	}
	return err == nil, err, nil
}

// partly notes whether a file has arrived in part.
func (r *Receiver) partly(path string, so bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !so:
		delete(r.partials, path)
	case r.partials == nil:
		r.partials = map[string]bool{path: true}
	default:
		r.partials[path] = true
	}
}

// removePartials removes what has arrived of files of which no rest will come.
func (r *Receiver) removePartials() error {
	r.mu.Lock()
	paths := r.partials
	r.partials = nil
	r.mu.Unlock()
	if len(paths) == 0 {
		return nil
	}
	root, err := tree.Open(r.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	for path := range paths {
		dir, name := change.Split(path)
		if in, err := root.Dir(dir); err == nil {
			in.Discard(tree.PartialName(name))
			in.Close()
		}
	}
	return nil
}

// copyOld begins with the content that the sender knows.
func (b *carrying) copyOld(f *os.File, s Step) error {
	old, err := b.root.OpenFile(s.Path)
	if err != nil {
		return err
	}
	defer old.Close()
	if s.Old == nil {
		err = b.sameAsHashed(old, s)
	} else {
		err = sameAsOld(old, s)
	}
	if err != nil {
		return err
	}
	return tree.Copy(f, old)
}

// sameAsOld makes sure that a file is the one that the sender knows.
func sameAsOld(f *os.File, s Step) error {
	e, err := tree.Stat(f)
	if err == nil && (s.Old.Ino != e.Ino || s.Old.Size != e.Size || s.Old.Mtime != e.Mtime) {
		err = fmt.Errorf("%s: %w", s.Path, errChanged)
	}
	return err
}

// sameAsHashed makes sure that a file is the one whose hashes were told last.
func (b *carrying) sameAsHashed(f *os.File, s Step) error {
	e, err := tree.Stat(f)
	h := b.hashed
	if err == nil && (h == nil || b.path != s.Path || h.Ino != e.Ino || h.Dev != e.Dev || h.Size != e.Size || h.Mtime != e.Mtime || h.Ctime != e.Ctime) {
		err = fmt.Errorf("%s: %w", s.Path, errChanged)
	}
	return err
}

func (b *carrying) skipContent() error {
	content := b.content()
	content.err = errGivenUp
	_, _ = content.receive(nil)
	return content.lost
}

// content is that of one file, as its frames arrive.
type content struct {
	next  func() (frame, error)
	ended bool
	err   error // why nothing more is written
	lost  error // why the session is over
}

func (s *serving) content() *content {
	var buffer []byte
	return &content{next: func() (frame, error) {
		f, err := readFrameInto(s.in, &buffer)
		return f, s.broken(err)
	}}
}

// receive has each piece taken, which holds only until the next one, and returns what the file is to be in the end.
func (c *content) receive(take func(frame, piece) error) (*change.Entry, error) {
	for {
		f, err := c.next()
		if err == io.EOF {
			err = &lostStream{io.ErrUnexpectedEOF}
		}
		var p piece
		if err == nil {
			p, err = cutPiece(f)
		}
		if err != nil {
			c.lost = err
			return nil, err
		}
		if p.kind == kindGiveUp {
			c.ended = true
			return nil, errGivenUp
		}
		if c.err == nil {
			c.err = take(f, p)
		}
		if p.kind == kindDone {
			c.ended = true
			return p.entry, c.err
		}
	}
}

// piece is a part of a file's content, or what ends it.
type piece struct {
	kind      kind
	offset, n int64
	data      []byte
	entry     *change.Entry
}

func cutPiece(f frame) (piece, error) {
	c := cutter{rest: f.body}
	p := piece{kind: f.kind}
	switch f.kind {
	case kindData:
		p.offset = int64(c.uint64())
		p.data, c.rest = c.rest, nil
		p.n = int64(len(p.data))
	case kindHole:
		p.offset, p.n = int64(c.uint64()), int64(c.uint64())
	case kindDone:
		if p.entry = c.entry(); c.err == nil && (p.entry == nil || p.entry.Kind != change.File || !settable(p.entry)) {
			c.fail("content of no file")
		}
	case kindAgain, kindGiveUp:
	default:
		c.fail("kind %d within a file", f.kind)
	}
	if p.offset < 0 || p.n < 0 || p.n > math.MaxInt64-p.offset {
		c.fail("%d bytes at %d", p.n, p.offset)
	}
	return p, c.end()
}

// put writes a piece into a file.
func (p piece) put(into *os.File) error {
	switch p.kind {
	case kindData:
		return tree.WriteAt(into, p.data, p.offset)
	case kindHole:
		return tree.Hole(into, p.offset, p.n)
	case kindAgain:
		return into.Truncate(0)
	}
	st, err := into.Stat() // one that started as a longer file has too much
	if err != nil || st.Size() <= p.entry.Size {
		return err
	}
	return into.Truncate(p.entry.Size)
}

// BlockBytes is the size of the blocks of which hashes are told.
const BlockBytes = 128 << 10

// Block is the start of a block's SHA-256.
type Block [16]byte

// emptyBlock is the hash of a block that is a hole.
var emptyBlock = BlockOf(make([]byte, BlockBytes))

// BlockOf is the hash of one block.
func BlockOf(data []byte) Block {
	sum := sha256.Sum256(data)
	return Block(sum[:len(Block{})])
}

// hashes tells the hashes of a file's blocks, and remembers whose they are: of what arrived of it when a session broke off, or else of the file. No hashes:
// there is neither.
func (s *serving) hashes(body []byte) error {
	c := cutter{rest: body}
	path := c.path()
	if err := c.end(); err != nil {
		return err
	}
	s.path, s.hashed, s.partial = path, nil, true
	f, err := s.arrived(path)
	if err != nil {
		s.partial = false
		f, err = s.root.OpenFile(path)
	}
	if err != nil {
		return s.reply(kindBlocks, []byte{1})
	}
	defer f.Close()
	before, err := tree.Stat(f)
	if err != nil {
		return s.reply(kindBlocks, []byte{1})
	}
	answer, block := []byte{0}, make([]byte, BlockBytes)
	for offset := int64(0); ; offset += BlockBytes {
		start, _, err := tree.Data(f, offset, before.Size)
		if err == nil && start-offset >= BlockBytes {
			answer = append(answer, emptyBlock[:]...)
		} else {
			var n int
			if n, err = io.ReadFull(io.NewSectionReader(f, offset, BlockBytes), block); n > 0 {
				hash := BlockOf(block[:n])
				answer = append(answer, hash[:]...)
			}
		}
		if len(answer) > answerBytes {
			if err := s.send(kindBlocks, answer); err != nil {
				return err
			}
			answer = append(answer[:0], 0)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			s.Log.Warn().Err(err).Str("path", path).Msg("read for its hashes")
			return s.reply(kindBlocks, []byte{1})
		}
	}
	s.hashed = before
	answer[0] = 1
	return s.reply(kindBlocks, answer)
}

// arrived opens what has arrived of a file. Nobody else may have made it, or have it open by another name.
func (s *serving) arrived(path string) (*os.File, error) {
	dir, name := change.Split(path)
	f, err := s.root.OpenFile(change.Join(dir, tree.PartialName(name)))
	if err != nil {
		return nil, err
	}
	e, err := tree.Stat(f)
	if err == nil && (e.UID != uint32(os.Geteuid()) || e.Nlink != 1) {
		err = fmt.Errorf("%s: %w", path, fs.ErrPermission)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Blocks asks for the hashes of the blocks of the replica's file.
func (b *Batch) Blocks(path string) ([]Block, error) {
	if err := b.session.send(kindHashes, appendText(nil, path)); err != nil {
		return nil, err
	}
	var blocks []Block
	for {
		f, err := b.session.answer(kindBlocks)
		if err != nil {
			return nil, err
		}
		c := cutter{rest: f.body}
		last := c.bool()
		if c.err != nil || len(c.rest)%len(Block{}) != 0 {
			return nil, b.session.fail(fmt.Errorf("%w: hashes", ErrFrame))
		}
		for len(c.rest) > 0 {
			blocks = append(blocks, Block(c.take(len(Block{}))))
		}
		if last {
			return blocks, nil
		}
	}
}
