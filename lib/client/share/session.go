// Package share serves one client of the share on the file sharing server. It stands between the client and the server of the files (package sftpd) and
// holds back the answer to what changes the share until enough copies have it.
//
// It promises that a change was answered only when Settle said so and this server was still allowed to serve: with Settle waiting for
// copies, the loss of this server takes nothing from a client that was told all is well. The answer to a WRITE is passed on at once when a later
// change of the same file is under way, so that a large file is copied about as often as it is left alone for a moment, not for every block; the last
// one waits. That is what close(2) on an sshfs mount waits for: sshfs gathers the answers to all WRITEs before it, and none to its CLOSE.
// So an empty file that is made there and closed is not waited for; a program that needs that syncs it.
//
// A change that Takes refuses fails before anything is done: the server of the files does not hear of it. One that was let in and then finds no copy to be on
// (ErrUncopied) was carried out on this server and fails all the same. It may be there later or not, as after any failed write.
package share

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"

	"hafs/lib/client/sftp"
)

// ErrUncopied is the error of Settle for a change that this server has and too few copies will: they do not take it, do nothing, or the last one has gone while
// it was waited for. A syscall.Errno beside it says why.
var ErrUncopied = errors.New("the change was made, and may be lost with the file sharing server")

// Session is one client's.
type Session struct {
	Door      *Door                                           // of all sessions
	Directory string                                          // of the share
	Takes     func(ctx context.Context) error                 // asked before a change is carried out; its error is the client's; nil: all are taken
	Settle    func(ctx context.Context, paths []string) error // returns when enough copies have these paths as they are; nil: at once
	Allowed   func() error                                    // asked before a change is answered; an error ends the session without that answer

	client  io.ReadWriteCloser
	server  io.ReadWriteCloser
	writing sync.Mutex // of the client's side

	mu      sync.Mutex
	asked   map[uint32]sftp.Packet // requests that matter, by id, until they are answered
	handles map[string]*file
	inside  int // changes that were let in through the door and are not answered
}

// file is one that a client has open for writing.
type file struct {
	path  string
	fresh bool // made or emptied by its opening, and not written since
	held  *held
}

// held is the answer to the newest change of an open file, while its copies are waited for.
type held struct {
	answer sftp.Packet
	stop   context.CancelFunc
}

// Serve works until either side ends, or an answer may not be given any more; then it closes both.
func (s *Session) Serve(ctx context.Context, client, server io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancelCause(ctx)
	s.client, s.server = client, server
	s.asked, s.handles = map[uint32]sftp.Packet{}, map[string]*file{}
	stop := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { cancel(s.requests(ctx)) })
	running.Go(func() { cancel(s.answers(ctx, cancel)) })
	<-ctx.Done()
	client.Close()
	server.Close()
	running.Wait()
	s.mu.Lock()
	s.Door.leave(s.inside)
	s.inside = 0
	s.mu.Unlock()
	if err := context.Cause(ctx); !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// requests passes on what the client asks.
func (s *Session) requests(ctx context.Context) error {
	for {
		p, err := sftp.ReadPacket(s.client)
		if err != nil {
			return err
		}
		if matters(p) {
			if err := s.Door.enter(ctx); err != nil {
				return err
			}
			s.mu.Lock()
			s.inside++
			s.mu.Unlock()
			if refused := s.refusal(ctx, p); refused != nil {
				if ctx.Err() != nil { // nobody has decided: whoever serves next is asked
					return ctx.Err()
				}
				if err := s.acknowledge(failure(p, refused)); err != nil {
					return err
				}
				continue
			}
			s.mu.Lock()
			s.asked[p.ID()] = p
			s.mu.Unlock()
		}
		if err := sftp.WritePacket(s.server, p); err != nil {
			return err
		}
	}
}

func matters(p sftp.Packet) bool {
	switch p.Kind() {
	case sftp.Open, sftp.Close:
		return true
	}
	return changes(p) || syncs(p)
}

// refusal is why a change is not taken.
func (s *Session) refusal(ctx context.Context, p sftp.Packet) error {
	if s.Takes == nil || !changes(p) {
		return nil
	}
	return s.Takes(ctx)
}

// failure is the answer to a change that is not acknowledged. SFTP 3 cannot say that a file system takes no writes. Of PermissionDenied sshfs makes EACCES (and
// EIO for a WRITE, whatever its code). Not so of Failure, which servers give for anything: a MKDIR that fails with it is EEXIST if the directory is
// there, which mkdir -p and others take for success.
//
// What kept a change from its copies has a code of its own, as later versions of SFTP have it: sshfs makes EIO of these.
func failure(request sftp.Packet, reason error) sftp.Packet {
	var errno syscall.Errno
	if !errors.As(reason, &errno) {
		return sftp.StatusPacket(request.ID(), sftp.PermissionDenied, reason.Error())
	}
	return sftp.StatusPacket(request.ID(), statusOf(errno), reason.Error())
}

func statusOf(errno syscall.Errno) uint32 {
	switch errno {
	case syscall.EACCES, syscall.EPERM:
		return sftp.PermissionDenied
	case syscall.ENOSPC:
		return sftp.NoSpace
	case syscall.EDQUOT:
		return sftp.QuotaExceeded
	case syscall.EROFS:
		return sftp.WriteProtected
	case syscall.ENAMETOOLONG:
		return sftp.InvalidFilename
	}
	return sftp.NoMedia
}

// answers passes on what the server says, changes when they have settled.
func (s *Session) answers(ctx context.Context, end context.CancelCauseFunc) error {
	for {
		p, err := sftp.ReadPacket(s.server)
		if err != nil {
			return err
		}
		var request sftp.Packet
		if p.Kind() != sftp.Version {
			s.mu.Lock()
			request = s.asked[p.ID()]
			delete(s.asked, p.ID())
			s.mu.Unlock()
		}
		if request == nil {
			if err := s.reply(p); err != nil {
				return err
			}
			continue
		}
		if err := s.answer(ctx, end, request, p); err != nil {
			return err
		}
	}
}

func (s *Session) answer(ctx context.Context, end context.CancelCauseFunc, request, p sftp.Packet) error {
	if request.Kind() == sftp.Open {
		s.open(request, p)
		return s.done(p)
	}
	if p.StatusCode() != sftp.OK {
		return s.done(p)
	}
	f := s.file(request)
	switch {
	case request.Kind() == sftp.Close && (f == nil || !f.fresh):
		return s.done(p)
	case changesHandle(request) && f != nil:
		return s.hold(ctx, end, f, p)
	case f != nil:
		go s.settled(ctx, end, p, []string{f.path})
	default:
		go s.settled(ctx, end, p, s.within(paths(request)))
	}
	return nil
}

// open remembers a file that was opened for writing.
func (s *Session) open(request, answer sftp.Packet) {
	name, writes, creates := opened(request)
	path, inside := below(s.Directory, name)
	if answer.Kind() != sftp.Handle || !writes || !inside {
		return
	}
	if handle, _, err := sftp.CutString(answer.Body()); err == nil {
		s.mu.Lock()
		s.handles[handle] = &file{path: path, fresh: creates}
		s.mu.Unlock()
	}
}

// file finds the file that a request names by its handle. A closed one is forgotten.
func (s *Session) file(request sftp.Packet) *file {
	handle, at := sftp.HandleOf(request)
	if at < 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.handles[handle]
	if request.Kind() == sftp.Close {
		delete(s.handles, handle)
	}
	return f
}

func (s *Session) within(names []string) []string {
	var all []string
	for _, name := range names {
		if path, inside := below(s.Directory, name); inside {
			all = append(all, path)
		}
	}
	return all
}

// hold keeps the answer to a change of an open file, and gives the one it kept before: the newest stands for all.
func (s *Session) hold(ctx context.Context, end context.CancelCauseFunc, f *file, p sftp.Packet) error {
	waiting, stop := context.WithCancel(ctx)
	h := &held{answer: p, stop: stop}
	s.mu.Lock()
	before := f.held
	f.held, f.fresh = h, false
	s.mu.Unlock()
	if before != nil {
		before.stop()
		if err := s.acknowledge(before.answer); err != nil {
			return err
		}
	}
	go func() {
		defer stop()
		p, err := s.settle(waiting, p, []string{f.path})
		if err != nil {
			if waiting.Err() == nil {
				end(err)
			}
			return
		}
		s.mu.Lock()
		current := f.held == h
		if current {
			f.held = nil
		}
		s.mu.Unlock()
		if current {
			if err := s.acknowledge(p); err != nil {
				end(err)
			}
		}
	}()
	return nil
}

// settled gives an answer when what it acknowledges has settled.
func (s *Session) settled(ctx context.Context, end context.CancelCauseFunc, p sftp.Packet, changed []string) {
	p, err := s.settle(ctx, p, changed)
	if err == nil {
		err = s.acknowledge(p)
	}
	if err != nil {
		end(err)
	}
}

// settle waits until a change has settled, and returns what is to be answered then.
func (s *Session) settle(ctx context.Context, p sftp.Packet, changed []string) (sftp.Packet, error) {
	if s.Settle == nil || len(changed) == 0 {
		return p, nil
	}
	err := s.Settle(ctx, changed)
	if errors.Is(err, ErrUncopied) {
		return failure(p, err), nil
	}
	return p, err
}

// acknowledge gives the answer to a change, if this server may still give one; otherwise its successor is asked. That goes for bad news too.
func (s *Session) acknowledge(p sftp.Packet) error {
	if s.Allowed != nil {
		if err := s.Allowed(); err != nil {
			return err
		}
	}
	return s.done(p)
}

// done gives the answer to something that was let in through the door. It has left when the answer is on its way.
func (s *Session) done(p sftp.Packet) error {
	err := s.reply(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside > 0 { // otherwise the session has ended
		s.inside--
		s.Door.leave(1)
	}
	return err
}

func (s *Session) reply(p sftp.Packet) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return sftp.WritePacket(s.client, p)
}
