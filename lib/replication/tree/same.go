package tree

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
)

// SameContent reads a file on both sides.
func SameContent(a, b *Root, path string) (bool, error) {
	one, err := a.OpenFile(path)
	if err != nil {
		return false, err
	}
	defer one.Close()
	two, err := b.OpenFile(path)
	if err != nil {
		return false, err
	}
	defer two.Close()
	const bufferBytes = 64 << 10
	x, y := make([]byte, bufferBytes), make([]byte, bufferBytes)
	for {
		n, err1 := io.ReadFull(one, x)
		m, err2 := io.ReadFull(two, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if err1 == io.EOF || err1 == io.ErrUnexpectedEOF {
			return err2 == err1, nil
		}
		if err1 != nil || err2 != nil {
			return false, fmt.Errorf("compare %s: %w", path, cmp.Or(err1, err2))
		}
	}
}
