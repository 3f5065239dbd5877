package sftpd

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	packet "hafs/lib/client/sftp"
)

// FuzzSession sends whatever there is to a server. It must answer what it can read, end with its client, and leave alone what is outside.
func FuzzSession(f *testing.F) {
	top := f.TempDir()
	share, outside := filepath.Join(top, "nfs"), filepath.Join(top, "outside")
	hello := packet.NewPacket(packet.Init, 3, nil)
	sound := func(packets ...packet.Packet) []byte {
		var b bytes.Buffer
		for _, p := range append([]packet.Packet{hello}, packets...) {
			_ = packet.WritePacket(&b, p)
		}
		return b.Bytes()
	}
	up := "/nfs/../outside"
	f.Add(sound())
	f.Add(sound(
		packet.NewPacket(packet.Open, 1, encode("f", uint32(packet.FlagWrite|packet.FlagCreate), packet.Attributes{})),
		packet.NewPacket(packet.Write, 2, encode("\x00\x00\x00\x01", uint64(0), "text")), packet.NewPacket(packet.Close, 3, encode("\x00\x00\x00\x01")),
	))
	f.Add(sound(packet.NewPacket(packet.Opendir, 1, encode(".")), packet.NewPacket(packet.Readdir, 2, encode("\x00\x00\x00\x01"))))
	f.Add(sound(packet.NewPacket(packet.Setstat, 1, encode("../outside/shadow", packet.Attributes{Flags: 15, Permissions: 0o777}))))
	f.Add(sound(packet.NewPacket(packet.Extended, 1, encode("hardlink@openssh.com", "../outside/shadow", "x"))))
	f.Add(sound(packet.NewPacket(packet.Symlink, 1, encode("../outside", "l")), packet.NewPacket(packet.Remove, 2, encode("l/shadow")), packet.NewPacket(packet.Mkdir, 3, encode(up))))
	f.Fuzz(func(t *testing.T, input []byte) {
		must(t, os.RemoveAll(share))
		must(t, os.MkdirAll(share, 0o755))
		must(t, os.MkdirAll(outside, 0o755))
		must(t, os.WriteFile(outside+"/shadow", []byte("secret"), 0o600))
		if err := (Server{}).Serve(context.Background(), share, bytes.NewReader(input), io.Discard); err == nil && len(input) > 0 && len(input) < 4 {
			t.Error("half a length was read")
		}
		var st unix.Stat_t
		text, err := os.ReadFile(outside + "/shadow")
		if err != nil || string(text) != "secret" || unix.Stat(outside+"/shadow", &st) != nil || st.Mode&0o7777 != 0o600 || st.Nlink != 1 || st.Uid != uint32(os.Getuid()) {
			t.Errorf("%q %v %+v", text, err, st)
		}
		if names, err := os.ReadDir(top); err != nil || len(names) != 2 {
			t.Error(names, err)
		}
	})
}
