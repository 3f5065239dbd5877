// Package socket is how the commands of one server speak to its daemons: Unix sockets that only root may use, over which a caller can hand over
// open files.
package socket

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// maxText bounds the text that comes with files: a command line of rsync at most.
const maxText = 64 << 10

// pipeBytes is the size of a caller's pipes, as far as the kernel allows it: content comes in pieces larger than a usual one.
const pipeBytes = 1 << 20

// Listen makes the socket anew; what a former daemon left there is replaced.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// Dial connects to a daemon.
func Dial(path string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}

// Send sends a text and open files in one message. The receiver has copies of its own.
func Send(conn *net.UnixConn, text []byte, descriptors ...int) error {
	_, _, err := conn.WriteMsgUnix(text, unix.UnixRights(descriptors...), nil)
	return err
}

// Receive reads what arrives first, and up to max files that came with it: a caller's input, output and complaints. The first two do not
// block, so that closing one ends a read that waits. The third is left as it is, for the caller shares it with other programs.
func Receive(conn *net.UnixConn, max int) ([]byte, []*os.File, error) {
	text, control := make([]byte, maxText), make([]byte, unix.CmsgSpace(max*4))
	n, controlled, _, _, err := conn.ReadMsgUnix(text, control)
	if err != nil {
		return nil, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlled])
	if err != nil {
		return nil, nil, err
	}
	var files []*os.File
	for _, m := range messages {
		descriptors, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range descriptors {
			if len(files) < 2 {
				_ = unix.SetNonblock(d, true) // one that cannot be is read as it is
				_, _ = unix.FcntlInt(uintptr(d), unix.F_SETPIPE_SZ, pipeBytes)
			}
			files = append(files, os.NewFile(uintptr(d), "received"))
		}
	}
	return text[:n], files, nil
}
