package mirror

import (
	"encoding/binary"
	"hash/maphash"

	"hafs/lib/replication/stream"
)

// The hash of a file's content is one of the hashes of its blocks, so that what is kept of a large file, the hashes of its blocks, tells it too.

var hashSeed = maphash.MakeSeed()

// sumOf is the hash of a block; 0 is none.
func sumOf(block []byte) uint64 { return max(1, maphash.Bytes(hashSeed, block)) }

// summing hashes content that comes in pieces.
type summing struct {
	block  maphash.Hash
	filled int // of the block
	whole  maphash.Hash
}

func newSumming() *summing {
	s := &summing{}
	s.block.SetSeed(hashSeed)
	s.whole.SetSeed(hashSeed)
	return s
}

func (s *summing) write(b []byte) {
	for len(b) > 0 {
		n := min(len(b), stream.BlockBytes-s.filled)
		s.block.Write(b[:n])
		if s.filled += n; s.filled == stream.BlockBytes {
			s.endBlock()
		}
		b = b[n:]
	}
}

func (s *summing) endBlock() {
	s.add(max(1, s.block.Sum64()))
	s.block.Reset()
	s.filled = 0
}

func (s *summing) add(sum uint64) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], sum)
	s.whole.Write(b[:])
}

func (s *summing) sum() uint64 {
	if s.filled > 0 {
		s.endBlock()
	}
	return s.whole.Sum64()
}

// sumOfSums is the hash of content by those of its blocks.
func sumOfSums(sums []uint64) uint64 {
	s := newSumming()
	for _, sum := range sums {
		s.add(sum)
	}
	return s.sum()
}
