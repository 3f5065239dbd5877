package stream

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"hafs/lib/change"
	"hafs/lib/mirror/tree"
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

// writeLarge makes a file from the frames that follow. They are all read, whatever happens to the file; only lost ends the session.
func (b *carrying) writeLarge(s Step) (err, lost error) {
	content := &content{serving: b.serving}
	dir, name := change.Split(s.Path)
	to, err := b.root.Dir(dir)
	if err != nil {
		return err, b.skipContent()
	}
	defer to.Close()
	temporary, err := to.WriteTemporary(s.Entry.Mode, b.durable(s.Path), func(f *os.File) (*change.Entry, error) {
		if s.Blocks {
			content.err = b.copyOld(f, s)
		}
		return content.receive(f)
	})
	if !content.ended && content.lost == nil { // it did not come to that
		content.lost = b.skipContent()
	}
	switch {
	case content.lost != nil:
		return err, content.lost
	case errors.Is(err, errGivenUp):
		return nil, nil // the sender knows
	case err != nil:
		return err, nil
	}
	if err := b.mayGoOn(); err != nil {
		to.Discard(temporary)
		return nil, err
	}
	return to.Publish(temporary, name, s.Aside), nil
}

// copyOld begins with the content that the sender knows.
func (b *carrying) copyOld(f *os.File, s Step) error {
	old, err := b.root.OpenFile(s.Path)
	if err != nil {
		return err
	}
	defer old.Close()
	e, err := tree.Stat(old)
	if err != nil {
		return err
	}
	same := s.Old != nil && s.Old.Ino == e.Ino && s.Old.Size == e.Size && s.Old.Mtime == e.Mtime
	if h := b.hashed; s.Old == nil && h != nil && b.path == s.Path {
		same = h.Ino == e.Ino && h.Dev == e.Dev && h.Size == e.Size && h.Mtime == e.Mtime && h.Ctime == e.Ctime
	}
	if !same {
		return fmt.Errorf("%s: %w", s.Path, errChanged)
	}
	return tree.Copy(f, old)
}

func (b *carrying) skipContent() error {
	content := &content{serving: b.serving, err: errGivenUp}
	_, _ = content.receive(nil)
	return content.lost
}

// content is that of one file, as its frames arrive.
type content struct {
	*serving
	ended bool
	err   error // why nothing more is written
	lost  error // why the session is over
}

func (c *content) receive(into *os.File) (*change.Entry, error) {
	for {
		f, err := c.next()
		if err == io.EOF {
			err = &lostStream{io.ErrUnexpectedEOF}
		}
		if err != nil {
			c.lost = err
			return nil, err
		}
		body := cutter{rest: f.body}
		switch f.kind {
		case kindData:
			offset := int64(body.uint64())
			if body.err != nil || offset < 0 {
				c.lost = fmt.Errorf("%w: data at %d", ErrFrame, offset)
				return nil, c.lost
			}
			if c.err == nil {
				c.err = tree.WriteAt(into, body.rest, offset)
			}
		case kindHole:
			offset, n := int64(body.uint64()), int64(body.uint64())
			if err := body.end(); err != nil || offset < 0 || n < 0 || n > math.MaxInt64-offset {
				c.lost = fmt.Errorf("%w: a hole of %d at %d", ErrFrame, n, offset)
				return nil, c.lost
			}
			if c.err == nil {
				c.err = tree.Hole(into, offset, n)
			}
		case kindAgain:
			if c.err == nil {
				c.err = into.Truncate(0)
			}
		case kindGiveUp:
			c.ended = true
			return nil, errGivenUp
		case kindDone:
			c.ended = true
			e := body.entry()
			if err := body.end(); err != nil || e == nil || e.Kind != change.File || !settable(e) {
				c.lost = fmt.Errorf("%w: content of no file", ErrFrame)
				return nil, c.lost
			}
			if c.err == nil {
				c.err = c.shorten(into, e.Size)
			}
			return e, c.err
		default:
			c.lost = fmt.Errorf("%w: kind %d within a file", ErrFrame, f.kind)
			return nil, c.lost
		}
	}
}

// shorten takes off what a file that started as a longer one has too much.
func (c *content) shorten(f *os.File, size int64) error {
	st, err := f.Stat()
	if err != nil || st.Size() <= size {
		return err
	}
	return f.Truncate(size)
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

// hashes tells the hashes of a file's blocks, and remembers whose they are. No hashes: there is no such file.
func (s *serving) hashes(body []byte) error {
	c := cutter{rest: body}
	path := c.path()
	if err := c.end(); err != nil {
		return err
	}
	s.path, s.hashed = path, nil
	f, err := s.root.OpenFile(path)
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
