package stream

import (
	"encoding/binary"
	"fmt"
	"math"

	"hafs/lib/replication/change"
)

// cutter takes values off the front of a body. The first error stays; everything after it is zero.
type cutter struct {
	rest []byte
	err  error
}

func (c *cutter) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrFrame}, args...)...)
	}
}

func (c *cutter) take(n int) []byte {
	if c.err == nil && n > len(c.rest) {
		c.fail("it ends too early")
	}
	if c.err != nil {
		return nil
	}
	taken := c.rest[:n:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cutter) uint8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cutter) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cutter) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cutter) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cutter) bool() bool {
	b := c.uint8()
	if b > 1 {
		c.fail("%d is neither yes nor no", b)
	}
	return b == 1
}

// text is a string of up to 64 KiB.
func (c *cutter) text() string { return string(c.take(int(c.uint16()))) }

// path is a path below the root, or the root itself.
func (c *cutter) path() string { return c.checked(c.text()) }

func (c *cutter) checked(path string) string {
	if c.err != nil || path == "." {
		return path
	}
	if err := change.CheckPath(path); err != nil {
		c.fail("path %q: %w", path, err)
	}
	return path
}

// end makes sure that nothing is left.
func (c *cutter) end() error {
	if c.err == nil && len(c.rest) > 0 {
		c.fail("%d bytes too many", len(c.rest))
	}
	return c.err
}

func appendBool(b []byte, yes bool) []byte {
	if yes {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), math.MaxUint16)]
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

var entryKinds = []change.FileKind{change.File, change.Directory, change.Symlink, change.Special}

// appendEntry writes an entry; nil is nothing. Of times only that of the last change of content travels.
func appendEntry(b []byte, e *change.Entry) []byte {
	if e == nil {
		return append(b, 0)
	}
	for i, k := range entryKinds {
		if e.Kind == k {
			b = append(b, byte(1+i))
		}
	}
	for _, v := range []uint32{e.Mode, e.UID, e.GID} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	for _, v := range []uint64{uint64(e.Mtime), e.Dev, e.Ino, e.Nlink} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	switch e.Kind {
	case change.File:
		b = binary.BigEndian.AppendUint64(b, uint64(e.Size))
	case change.Symlink:
		b = appendText(b, e.Target)
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(e.Xattrs))), e.Xattrs...)
}

// xattrs are extended attributes, or their digest.
func (c *cutter) xattrs() change.Xattrs {
	n := c.uint32()
	if n > change.MaxXattrsBytes {
		c.fail("%d bytes of attributes", n)
	}
	if c.err != nil || n == 0 {
		return ""
	}
	x := change.Xattrs(c.take(int(n)))
	if c.err != nil {
		return ""
	}
	if err := x.Check(); err != nil {
		c.fail("attributes: %w", err)
	}
	return x
}

func (c *cutter) entry() *change.Entry {
	k := int(c.uint8())
	if c.err != nil || k == 0 {
		return nil
	}
	if k > len(entryKinds) {
		c.fail("%d is no kind of entry", k)
		return nil
	}
	e := &change.Entry{Kind: entryKinds[k-1], Mode: c.uint32(), UID: c.uint32(), GID: c.uint32()}
	e.Mtime, e.Dev, e.Ino, e.Nlink = int64(c.uint64()), c.uint64(), c.uint64(), c.uint64()
	switch e.Kind {
	case change.File:
		e.Size = int64(c.uint64())
	case change.Symlink:
		e.Target = c.text()
	}
	e.Xattrs = c.xattrs()
	if e.Mode&^0o7777 != 0 || e.Size < 0 {
		c.fail("mode %o, size %d", e.Mode, e.Size)
	}
	return e
}
