package sftp

import (
	"bytes"
	"testing"
)

// FuzzPacket reads messages from whatever there is: what was read must be written as it was, and taking it apart must end.
func FuzzPacket(f *testing.F) {
	add := func(p Packet) {
		var b bytes.Buffer
		_ = WritePacket(&b, p)
		f.Add(b.Bytes())
	}
	add(NewPacket(Init, 3, nil))
	add(StatusPacket(1, Failure, "no"))
	add(NewPacket(Write, 7, AppendString(AppendString(nil, "handle"), "text")))
	add(NewPacket(Extended, 8, AppendString(AppendString(nil, "fsync@openssh.com"), "handle")))
	add(NewPacket(Setstat, 9, Attributes{Flags: 15, Size: 1, Permissions: 0o644}.Append(AppendString(nil, "/nfs/f"))))
	f.Add([]byte{0, 0, 0, 9, Setstat, 0, 0, 0, 1, 0x80, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, input []byte) {
		p, err := ReadPacket(bytes.NewReader(input))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WritePacket(&again, p); err != nil || !bytes.HasPrefix(input, again.Bytes()) {
			t.Fatalf("%q became %q, %v", input, again.Bytes(), err)
		}
		if name, at := HandleOf(p); at >= 0 && !bytes.Equal(p.Body()[at+4:at+4+len(name)], []byte(name)) {
			t.Errorf("handle %q at %d of %q", name, at, p)
		}
		_ = p.StatusCode()
		for start := range min(len(p.Body()), 64) {
			a, rest, err := ReadAttributes(p.Body()[start:])
			if skipped, skipErr := CutAttributes(p.Body()[start:]); (err == nil) != (skipErr == nil) || !bytes.Equal(skipped, rest) {
				t.Errorf("%q: %v %v", p, err, skipErr)
			}
			if err == nil && a.Flags&attrExtended == 0 {
				used := p.Body()[start : len(p.Body())-len(rest)]
				if got := a.Append(nil); !bytes.Equal(got, used) {
					t.Errorf("%q became %q", used, got)
				}
			}
		}
	})
}
