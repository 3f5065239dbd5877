package sftpd

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	packet "hafs/lib/client/sftp"
)

// Whoever looks after the share may keep an error from the client: the session ends, and the request has no answer.
func TestAnErrorThatTheClientIsNotTold(t *testing.T) {
	grave := errors.New("the share is gone")
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	server := Server{Failed: func(err error) error {
		if errors.Is(err, syscall.ENOTDIR) {
			return grave
		}
		return nil
	}}
	directory := t.TempDir()
	go func() { done <- server.Serve(context.Background(), directory, far, far); far.Close() }()
	must(t, packet.WritePacket(near, packet.NewPacket(packet.Init, 3, nil)))
	_, err := packet.ReadPacket(near)
	must(t, err)
	must(t, packet.WritePacket(near, packet.NewPacket(packet.Remove, 1, encode(directory+"/nothing"))))
	if p, err := packet.ReadPacket(near); err != nil || p.Kind() != packet.Status || p.ID() != 1 {
		t.Fatalf("an error of its own: %v, %v", p, err)
	}
	must(t, packet.WritePacket(near, packet.NewPacket(packet.Open, 3, encode(directory+"/made", uint32(packet.FlagWrite|packet.FlagCreate), packet.Attributes{}))))
	_, err = packet.ReadPacket(near)
	must(t, err)
	must(t, packet.WritePacket(near, packet.NewPacket(packet.Opendir, 4, encode(directory+"/made"))))
	if p, err := packet.ReadPacket(near); !errors.Is(err, io.EOF) {
		t.Errorf("answered: %v, %v", p, err)
	}
	if err := <-done; !errors.Is(err, grave) {
		t.Errorf("the session ended with %v", err)
	}
}
