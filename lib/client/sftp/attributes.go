package sftp

import "encoding/binary"

// Parts of an attribute block.
const (
	AttrSize        = 0x01
	AttrOwner       = 0x02
	AttrPermissions = 0x04
	AttrTimes       = 0x08
	attrExtended    = 0x80000000
)

// Attributes is one attribute block. What Flags does not name is zero.
type Attributes struct {
	Flags       uint32
	Size        uint64
	UID, GID    uint32
	Permissions uint32 // with the kind, as in st_mode
	Atime       uint32 // seconds since 1970
	Mtime       uint32
}

// Append adds the block to a message.
func (a Attributes) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, a.Flags)
	if a.Flags&AttrSize != 0 {
		b = binary.BigEndian.AppendUint64(b, a.Size)
	}
	for _, part := range []struct {
		flag   uint32
		values []uint32
	}{{AttrOwner, []uint32{a.UID, a.GID}}, {AttrPermissions, []uint32{a.Permissions}}, {AttrTimes, []uint32{a.Atime, a.Mtime}}} {
		if a.Flags&part.flag != 0 {
			for _, v := range part.values {
				b = binary.BigEndian.AppendUint32(b, v)
			}
		}
	}
	return b
}

// ReadAttributes takes one attribute block from the front. Extended attributes are skipped: nobody here knows any.
func ReadAttributes(b []byte) (a Attributes, rest []byte, err error) {
	if a.Flags, b, err = CutUint32(b); err != nil {
		return Attributes{}, nil, err
	}
	if a.Flags&AttrSize != 0 {
		if a.Size, b, err = CutUint64(b); err != nil {
			return Attributes{}, nil, err
		}
	}
	for _, part := range []struct {
		flag   uint32
		values []*uint32
	}{{AttrOwner, []*uint32{&a.UID, &a.GID}}, {AttrPermissions, []*uint32{&a.Permissions}}, {AttrTimes, []*uint32{&a.Atime, &a.Mtime}}} {
		if a.Flags&part.flag == 0 {
			continue
		}
		for _, v := range part.values {
			if *v, b, err = CutUint32(b); err != nil {
				return Attributes{}, nil, err
			}
		}
	}
	if a.Flags&attrExtended != 0 {
		var n uint32
		for n, b, err = CutUint32(b); err == nil && n > 0; n-- {
			if _, b, err = CutString(b); err == nil {
				_, b, err = CutString(b)
			}
		}
	}
	return a, b, err
}

// CutAttributes skips one attribute block.
func CutAttributes(b []byte) ([]byte, error) {
	_, rest, err := ReadAttributes(b)
	return rest, err
}

// CutUint64 takes a long number from the front.
func CutUint64(b []byte) (uint64, []byte, error) {
	if len(b) < 8 {
		return 0, nil, errShort
	}
	return binary.BigEndian.Uint64(b), b[8:], nil
}
