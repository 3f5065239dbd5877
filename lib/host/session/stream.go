package session

import (
	"io"

	"golang.org/x/crypto/ssh"
)

// stream is a command on a peer: what is written is its input, what is read its output.
type stream struct {
	*io.PipeReader
	io.Writer
	session *ssh.Session
}

// Stream starts a command in a session. Close ends it at once, even when the peer hangs and would never agree.
func Stream(s *ssh.Session, command string) (io.ReadWriteCloser, error) {
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	read, write := io.Pipe()
	s.Stdout = write
	if err := s.Start(command); err != nil {
		return nil, err
	}
	go func() {
		_ = s.Wait()
		write.Close()
	}()
	return stream{read, in, s}, nil
}

// Close ends the reader first: ending the session may wait for the peer.
func (s stream) Close() error {
	s.PipeReader.Close()
	go s.session.Close()
	return nil
}
