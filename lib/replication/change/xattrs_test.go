package change

import (
	"strings"
	"testing"
)

func TestAttributesThatAreKept(t *testing.T) {
	for name, kept := range map[string]bool{
		"user.a": true, "trusted.overlay.opaque": true, "security.capability": true, "system.posix_acl_access": true, "system.posix_acl_default": true,
		"user.": false, "user": false, "": false, "security.selinux": false, "security.capability2": false, "system.nfs4_acl": false, "btrfs.compression": false,
	} {
		if KeptXattr(name) != kept {
			t.Errorf("%q: kept %v", name, !kept)
		}
	}
}

func TestAttributesThatAreRefused(t *testing.T) {
	value := "\x00\x00\x00\x01v"
	for reason, x := range map[string]Xattrs{
		"not replicated":  Xattrs("\x10security.selinux" + value),
		"out of order":    Xattrs("\x06user.b" + value + "\x06user.a" + value),
		"\"user.a\" out":  Xattrs("\x06user.a" + value + "\x06user.a" + value),
		"end too early":   Xattrs("\x06user.a\x00\x00\x00\x02v"),
		"zero byte":       Xattrs("\x06user.\x00" + value),
		"digest of":       Xattrs("\x00short"),
		"of 65537 bytes":  Xattrs("\x06user.a\x00\x01\x00\x01" + strings.Repeat("v", 65537)),
		"more than 256 K": Xattrs(strings.Repeat("\x06user.a"+value, 30_000)),
	} {
		if err := x.Check(); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// The largest that travels, and one byte more.
func TestLimitOfAttributes(t *testing.T) {
	values := map[string]string{}
	for _, name := range []string{"user.a", "user.b", "user.c"} {
		values[name] = strings.Repeat("v", maxXattrValue)
	}
	values["user.d"] = strings.Repeat("v", maxXattrValue-4*(1+len("user.a")+4))
	x := XattrsOf(values)
	if !x.Known() || x.Check() != nil || len(x) != MaxXattrsBytes || !x.Same(x.Digest()) {
		t.Errorf("%d bytes: %v", len(x), x.Check())
	}
	values["user.d"] += "v"
	if x := XattrsOf(values); x != UnknownXattrs {
		t.Errorf("%d bytes", len(x))
	}
}
