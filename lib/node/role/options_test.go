package role_test

import (
	"testing"

	"hafs/lib/node/role"
)

func TestOptionsThatSshfsKnows(t *testing.T) {
	for _, c := range []struct{ name, help, want string }{
		{"3.7.3 as released", "    -o follow_symlinks     follow symlinks on the server\n", ""},
		{"3.7.3 with Debian's patches, 3.7.6", "    -o contain_symlinks    reject absolute symlinks\n    -o no_contain_symlinks allow all symlink targets\n", ",no_contain_symlinks"},
		{"one that cannot be told not to", "    -o contain_symlinks    reject absolute symlinks\n", ""},
	} {
		if got := role.MountOptions(c.help); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
