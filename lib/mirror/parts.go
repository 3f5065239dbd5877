package mirror

import (
	"errors"

	"hafs/lib/stream"
)

// memory is a small file that is being read.
type memory struct{ data []byte }

// errLarge means that a file grew while it was read, so that it does not fit into one frame any more.
var errLarge = errors.New("too large for one frame")

func (m *memory) Write(b []byte) (int, error) {
	if len(m.data)+len(b) > stream.SmallBytes {
		return 0, errLarge
	}
	m.data = append(m.data, b...)
	return len(b), nil
}

func (m *memory) Hole(n int64) error {
	if int64(len(m.data))+n > stream.SmallBytes {
		return errLarge
	}
	m.data = append(m.data, make([]byte, n)...)
	return nil
}

func (m *memory) Again() error {
	m.data = m.data[:0]
	return nil
}

// parts is a large file on its way. Blocks that the replica's old file has at the same place are left out.
type parts struct {
	batch  *stream.Batch
	blocks []stream.Block // of the replica's file
	offset int64
	sent   int64 // bytes
	lost   error // why the session is over
}

func (p *parts) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := len(rest)
		if len(p.blocks) > 0 {
			n = min(n, stream.BlockBytes-int(p.offset%stream.BlockBytes))
		}
		if !p.has(rest[:n]) {
			if p.lost = p.batch.Data(p.offset, rest[:n]); p.lost != nil {
				return 0, p.lost
			}
			p.sent += int64(n)
		}
		p.offset += int64(n)
		rest = rest[n:]
	}
	return len(b), nil
}

func (p *parts) has(data []byte) bool {
	number := p.offset / stream.BlockBytes
	return p.offset%stream.BlockBytes == 0 && number < int64(len(p.blocks)) && stream.BlockOf(data) == p.blocks[number]
}

func (p *parts) Hole(n int64) error {
	p.lost = p.batch.Hole(p.offset, n)
	p.offset += n
	return p.lost
}

func (p *parts) Again() error {
	p.offset, p.blocks = 0, nil
	p.lost = p.batch.Again()
	return p.lost
}

// hashBytes is the smallest size, on both sides, that is worth a round trip and reading the replica's file.
const hashBytes = 1 << 20

func worthHashing(s *Step) bool {
	return s.Replica != nil && s.Replica.Kind == s.Source.Kind && s.Replica.Size >= hashBytes && s.Source.Size >= hashBytes
}
