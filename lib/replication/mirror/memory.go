package mirror

import (
	"errors"

	"hafs/lib/replication/stream"
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
