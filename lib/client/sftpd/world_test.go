package sftpd

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"

	packet "hafs/lib/client/sftp"
)

// world is a share with something outside that nobody is to reach.
type world struct {
	t        *testing.T
	share    string
	outside  string
	client   *sftp.Client
	raw      net.Conn // a session of its own, for requests that no client makes
	requests uint32
	left     uint64 // what may be written; 0: that is not known
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, share: filepath.Join(t.TempDir(), "nfs"), outside: t.TempDir()}
	must(t, os.Mkdir(w.share, 0o755))
	must(t, os.WriteFile(filepath.Join(w.outside, "shadow"), []byte("secret"), 0o600))
	conn := w.connect()
	var err error
	w.client, err = sftp.NewClientPipe(conn, conn)
	must(t, err)
	w.raw = w.connect()
	must(t, packet.WritePacket(w.raw, packet.NewPacket(packet.Init, 3, nil)))
	if p, err := packet.ReadPacket(w.raw); err != nil || p.Kind() != packet.Version || p.ID() != 3 {
		t.Fatalf("%v %v", p, err)
	}
	return w
}

func (w *world) room() (uint64, bool) { return w.left, w.left > 0 }

func (w *world) connect() net.Conn {
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Server{Room: w.room}.Serve(context.Background(), w.share, far, far); far.Close() }()
	w.t.Cleanup(func() {
		near.Close()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return near
}

// ask makes one request by hand: strings, numbers and attributes are put together as they are.
func (w *world) ask(kind byte, arguments ...any) packet.Packet {
	w.t.Helper()
	w.requests++
	must(w.t, packet.WritePacket(w.raw, packet.NewPacket(kind, w.requests, encode(arguments...))))
	p, err := packet.ReadPacket(w.raw)
	must(w.t, err)
	if p.ID() != w.requests {
		w.t.Fatalf("answer to %d, not to %d", p.ID(), w.requests)
	}
	return p
}

func encode(arguments ...any) (body []byte) {
	for _, a := range arguments {
		switch a := a.(type) {
		case string:
			body = packet.AppendString(body, a)
		case uint32:
			body = binary.BigEndian.AppendUint32(body, a)
		case uint64:
			body = binary.BigEndian.AppendUint64(body, a)
		case packet.Attributes:
			body = a.Append(body)
		}
	}
	return body
}

func (w *world) path(name string) string { return w.share + "/" + name }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// state is everything below a directory with what a session may change of it.
func state(t *testing.T, directory string) (all string) {
	t.Helper()
	must(t, filepath.WalkDir(directory, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(directory, path)
		text := ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(b)
		case info.Mode()&os.ModeSymlink != 0:
			text, _ = os.Readlink(path)
		}
		all += fmt.Sprintf("%s %s %s %q\n", name, info.Mode(), owner(info), text)
		return nil
	}))
	return all
}
