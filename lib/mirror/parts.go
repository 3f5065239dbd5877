package mirror

import (
	"errors"
	"hash/maphash"
	"os"
	"time"

	"hafs/lib/mirror/tree"
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

// parts is a large file on its way. Blocks that the replica's old file has at the same place are left out: by what this server gave it, or by
// hashes that the replica made.
type parts struct {
	batch  *stream.Batch
	given  []uint64       // hashes of the blocks that the replica was given
	blocks []stream.Block // of the replica's file, when that is not known
	sums   []uint64       // of what was sent now; 0: a block that did not come in one piece
	offset int64
	sent   int64 // bytes
	lost   error // why the session is over
}

func (p *parts) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), stream.BlockBytes-int(p.offset%stream.BlockBytes))
		sum := p.sum(rest[:n])
		if !p.has(rest[:n], sum) {
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

// sum notes the hash of what may be a whole block: it begins as one, and nothing comes after it in the same block.
func (p *parts) sum(data []byte) uint64 {
	number := int(p.offset / stream.BlockBytes)
	if number >= maxSums {
		return 0
	}
	sum := uint64(0)
	if p.offset%stream.BlockBytes == 0 {
		sum = max(1, maphash.Bytes(hashSeed, data))
	}
	for len(p.sums) <= number {
		p.sums = append(p.sums, 0)
	}
	p.sums[number] = sum
	return sum
}

// maxSums bounds the memory for a file: what is behind 128 GiB is always sent.
const maxSums = 1 << 20

func (p *parts) has(data []byte, sum uint64) bool {
	number := p.offset / stream.BlockBytes
	if p.offset%stream.BlockBytes != 0 {
		return false
	}
	if number < int64(len(p.given)) {
		return sum != 0 && sum == p.given[number]
	}
	return number < int64(len(p.blocks)) && stream.BlockOf(data) == p.blocks[number]
}

func (p *parts) Hole(n int64) error {
	p.lost = p.batch.Hole(p.offset, n)
	p.offset += n
	return p.lost
}

func (p *parts) Again() error {
	p.offset, p.blocks, p.given, p.sums = 0, nil, nil, nil
	p.lost = p.batch.Again()
	return p.lost
}

// hashBytes is the smallest size, on both sides, that is worth a round trip and reading the replica's file.
const hashBytes = 1 << 20

func worthHashing(s *Step) bool {
	return s.Replica != nil && s.Replica.Kind == s.Source.Kind && s.Replica.Size >= hashBytes && s.Source.Size >= hashBytes
}

const (
	// quietBytes is the size of a file from which on it is worth waiting until whoever writes it stops for a moment, instead of sending it half
	// written and again.
	quietBytes = 8 << 20
	quietFor   = 100 * time.Millisecond
	quietLimit = 2 * time.Second // changes wait meanwhile
	quietEvery = 10 * time.Millisecond
)

// awaitQuiet waits until a large file is left alone.
func awaitQuiet(f *os.File, progress func()) {
	for deadline := time.Now().Add(quietLimit); ; time.Sleep(quietEvery) {
		e, err := tree.Stat(f)
		now := time.Now()
		if err != nil || e.Size < quietBytes || now.After(deadline) {
			return
		}
		if age := time.Duration(now.UnixNano() - e.Mtime); age < 0 || age > quietFor {
			return
		}
		progress()
	}
}
