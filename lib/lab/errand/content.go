package errand

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// Content is what a file of that name and size holds: bytes that do not compress, different for every name.
func Content(name string, size int) []byte {
	sum := fnv.New64a()
	sum.Write([]byte(name))
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], sum.Sum64())
	text := make([]byte, size)
	rand.NewChaCha8(seed).Read(text)
	return text
}

const (
	pageSize  = 4 << 10
	blockSize = 1 << 20
)

// block is part n of a large file. It is cheap to make, does not compress, and no page of it is in the file a second time, so that nobody who
// copies it finds anything he has already.
func block(pattern []byte, n int64) []byte {
	b := bytes.Clone(pattern)
	for at := 0; at < len(b); at += pageSize {
		binary.BigEndian.PutUint64(b[at:], uint64(n)<<20|uint64(at))
	}
	return b
}

func largePattern() []byte { return Content("large", blockSize) }

// Flipped is what a byte is changed to.
func Flipped(b byte) byte { return b ^ 0xff }

// fileName is the name of file n of a series.
func fileName(n int) string { return fmt.Sprintf("%06d", n) }

// PerFolder is how many files of a burst are in one folder unless something else is said.
const PerFolder = 100

// burst lists the folders of so many files, and the names in each.
func burst(files, perFolder int) (folders []string, names func(folder int) []string) {
	for n := 0; n < files; n += perFolder {
		folders = append(folders, fmt.Sprintf("%04d", n/perFolder))
	}
	return folders, func(folder int) []string {
		var all []string
		for n := folder * perFolder; n < min((folder+1)*perFolder, files); n++ {
			all = append(all, fileName(n))
		}
		return all
	}
}
