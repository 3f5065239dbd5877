package watch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel watches single directories, not what is below them, and keeps what happens to them until it is taken.
type Kernel interface {
	// Watch watches an opened directory. The number it returns stands for the directory itself, whatever its name is or becomes:
	// a directory that is watched already has the same number again. top asks for what happens to the directory itself, too.
	Watch(fd int, top bool) (wd int32, err error)
	// Unwatch stops watching, and says whether it did: if so, an event IN_IGNORED follows. If not, the directory has gone.
	Unwatch(wd int32) bool
	// Waiting tells that there is something to take.
	Waiting() <-chan struct{}
	Take() (Batch, error)
	Close()
}

// Batch is what was read from the kernel: whole events in their order.
type Batch struct {
	Raw []byte
	// Sure belongs to the marks of lost events in Raw, one each, in order: what happened before that moment was not lost.
	Sure []Moment
}

const (
	// readBytes is more than the kernel has waiting when its queue is as long as it is by default, with names of usual length.
	readBytes = 1 << 20
	// waitingBytes bounds what waits in memory, some 500,000 events; more waits in the kernel's own queue.
	waitingBytes = 16 << 20
	// idle is how often the queue is seen to be empty when nothing happens; it dates what may have been lost.
	idle = 500 * time.Millisecond
)

const (
	// watchMask adds to what is watched for: a mask that replaces the one before is 0 for a moment in the kernel, and what happens in that moment makes no event.
	// A directory is watched again whenever something in it is looked at.
	watchMask = unix.IN_MASK_ADD | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_ONLYDIR
	topMask   = watchMask | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// inotify empties the kernel's queue into memory as fast as it can, so that what is slow about an event costs no events.
type inotify struct {
	fd    int
	file  *os.File // the same; the runtime waits for it, which costs no thread and, on one processor, no time
	limit int
	ended chan struct{}

	mu      sync.Mutex
	room    *sync.Cond
	waiting Batch
	failed  error
	closed  bool
	wake    chan struct{}
}

// Inotify opens a new inotify instance.
func Inotify() (Kernel, error) { return openInotify(waitingBytes) }

func openInotify(limit int) (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, instancesLimit()
	}
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	k := &inotify{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), limit: limit, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	k.room = sync.NewCond(&k.mu)
	go k.read()
	return k, nil
}

// Watch goes by way of /proc, so that no rename can put another directory in the place of the opened one.
func (k *inotify) Watch(fd int, top bool) (int32, error) {
	mask := uint32(watchMask)
	if top {
		mask = topMask
	}
	wd, err := unix.InotifyAddWatch(k.fd, "/proc/self/fd/"+strconv.Itoa(fd), mask)
	return int32(wd), err
}

func (k *inotify) Unwatch(wd int32) bool {
	_, err := unix.InotifyRmWatch(k.fd, uint32(wd))
	return err == nil
}

func (k *inotify) Waiting() <-chan struct{} { return k.wake }

func (k *inotify) Take() (Batch, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.waiting
	k.waiting = Batch{}
	k.room.Signal()
	if len(b.Raw) > 0 {
		return b, nil
	}
	return b, k.failed
}

// Close waits for the reader to end.
func (k *inotify) Close() {
	k.mu.Lock()
	k.closed = true
	k.room.Signal()
	k.mu.Unlock()
	k.file.Close()
	<-k.ended
}

func (k *inotify) read() {
	defer close(k.ended)
	conn, err := k.file.SyscallConn()
	if err != nil {
		k.fail(fmt.Errorf("read inotify: %w", err))
		return
	}
	r := reader{buffer: make([]byte, readBytes), sure: now()}
	for k.waitForRoom() {
		err := errors.Join(k.file.SetReadDeadline(time.Now().Add(idle)), conn.Read(r.try))
		err = errors.Join(err, r.err) // which try sets
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			k.fail(fmt.Errorf("read inotify: %w", err))
			return
		}
		lost := losses(r.buffer[:r.n])
		k.put(r.buffer[:r.n], lost, r.sure)
		// What is lost from now on has a mark of its own: once the mark was read, the kernel makes a new one; and it made none as long as
		// the queue had an end we could read to.
		if lost > 0 || len(r.buffer)-r.n >= maxEventBytes {
			r.sure = r.before
		}
	}
}

// reader reads as much as there is.
type reader struct {
	buffer []byte
	n      int
	err    error
	before Moment // of the last attempt
	sure   Moment // nothing was lost that happened before
}

// try answers false when there is nothing to read.
func (r *reader) try(fd uintptr) bool {
	for {
		r.before = now()
		r.n, r.err = unix.Read(int(fd), r.buffer)
		switch r.err {
		case unix.EINTR:
		case unix.EAGAIN:
			r.n, r.err, r.sure = 0, nil, r.before
			return false
		default:
			return true
		}
	}
}

// waitForRoom answers false when the instance was closed.
func (k *inotify) waitForRoom() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting.Raw) >= k.limit && !k.closed {
		k.room.Wait()
	}
	return !k.closed
}

func (k *inotify) put(raw []byte, lost int, sure Moment) {
	k.mu.Lock()
	k.waiting.Raw = append(k.waiting.Raw, raw...)
	for range lost {
		k.waiting.Sure = append(k.waiting.Sure, sure)
	}
	k.mu.Unlock()
	signal(k.wake)
}

func (k *inotify) fail(err error) {
	k.mu.Lock()
	k.failed = err
	k.mu.Unlock()
	signal(k.wake)
}
