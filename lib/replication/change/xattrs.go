package change

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Xattrs are the extended attributes of an entry in the one form they can have, so that equal attributes are equal strings and to have none is the
// empty one. In the order of names: the length of the name (1 byte, as the kernel has names of up to 255), the name, the length of the value (4 bytes, big-endian), the value.
//
// Two other strings stand for attributes: a digest, which tells whether they are the same and not what they are, and UnknownXattrs. Both start with a
// zero byte, which no length of a name is.
type Xattrs string

// UnknownXattrs are attributes that could not be read whole because they exceed MaxXattrsBytes. They compare as the same, and whoever is to set
// them leaves alone what is there.
const UnknownXattrs Xattrs = "\x00"

const (
	maxXattrValue = 64 << 10 // XATTR_SIZE_MAX
	// MaxXattrsBytes bounds all attributes of one file, in their form: a step with them and a small file's content fits into one frame.
	MaxXattrsBytes = 256 << 10

	xattrDigestBytes = 1 + sha256.Size
)

// ErrXattrs means that a file has more in its extended attributes than is replicated.
var ErrXattrs = fmt.Errorf("more than %d KiB of extended attributes", MaxXattrsBytes>>10)

const (
	accessACL  = "system.posix_acl_access" // the ACLs of POSIX
	defaultACL = "system.posix_acl_default"
	capability = "security.capability"
)

// KeptXattr says whether an attribute is part of what is replicated. Left out is what belongs to one machine (labels of security modules) or to
// one kind of file system (system.nfs4_acl and the like).
func KeptXattr(name string) bool {
	for _, namespace := range []string{"user.", "trusted."} {
		if len(name) > len(namespace) && strings.HasPrefix(name, namespace) {
			return true
		}
	}
	return name == capability || name == accessACL || name == defaultACL
}

// XattrsOf writes attributes. UnknownXattrs: they are too many.
func XattrsOf(values map[string]string) Xattrs {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b = append(append(b, byte(len(name))), name...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(values[name])))
		if b = append(b, values[name]...); len(b) > MaxXattrsBytes {
			return UnknownXattrs
		}
	}
	return Xattrs(b)
}

// Known says whether it is told what the attributes are.
func (x Xattrs) Known() bool { return x == "" || x[0] != 0 }

// All gives names and values. Of attributes that are not known it gives none.
func (x Xattrs) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if !x.Known() {
			return
		}
		for rest := string(x); rest != ""; {
			name, value, next, err := cutXattr(rest)
			if err != nil || !yield(name, value) {
				return
			}
			rest = next
		}
	}
}

// Values are the attributes by their names.
func (x Xattrs) Values() map[string]string { return maps.Collect(x.All()) }

// Digest stands for the same attributes in a few bytes.
func (x Xattrs) Digest() Xattrs {
	if !x.Known() || len(x) <= xattrDigestBytes {
		return x
	}
	sum := sha256.Sum256([]byte(x))
	return Xattrs("\x00" + string(sum[:]))
}

// Same compares attributes, of which each may be a digest.
func (x Xattrs) Same(y Xattrs) bool {
	return x == y || x == UnknownXattrs || y == UnknownXattrs || x.Known() != y.Known() && x.Digest() == y.Digest()
}

// Check refuses what XattrsOf and Digest do not write.
func (x Xattrs) Check() error {
	if x == UnknownXattrs || !x.Known() && len(x) == xattrDigestBytes {
		return nil
	}
	if !x.Known() {
		return fmt.Errorf("a digest of %d bytes", len(x))
	}
	if len(x) > MaxXattrsBytes {
		return ErrXattrs
	}
	before := ""
	for rest := string(x); rest != ""; {
		name, _, next, err := cutXattr(rest)
		switch {
		case err != nil:
			return err
		case !KeptXattr(name):
			return fmt.Errorf("attribute %q, which is not replicated", name)
		case strings.IndexByte(name, 0) >= 0:
			return errors.New("a name with a zero byte")
		case name <= before:
			return fmt.Errorf("attribute %q out of order", name)
		}
		before, rest = name, next
	}
	return nil
}

func cutXattr(text string) (name, value, rest string, err error) {
	errShort := errors.New("attributes that end too early")
	n := int(text[0])
	if len(text) < 1+n+4 {
		return "", "", "", errShort
	}
	name, text = text[1:1+n], text[1+n:]
	size := binary.BigEndian.Uint32([]byte(text[:4]))
	if size > maxXattrValue {
		return "", "", "", fmt.Errorf("an attribute of %d bytes", size)
	}
	if text = text[4:]; len(text) < int(size) {
		return "", "", "", errShort
	}
	return name, text[:size], text[size:], nil
}
