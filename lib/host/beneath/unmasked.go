package beneath

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Unmasked carries out calls under a umask of 0, while the process keeps its own. A mode that is set after the call would not do: the kernel leaves the umask
// out where a directory has a default ACL, and gives new directories the setgid bit of the one above; a later chmod undoes both.
//
// The umask belongs to the process, but a thread may have one of its own (unshare with CLONE_FS). That thread serves nothing else and ends with Close.
type Unmasked struct {
	begin sync.Once
	calls chan func()
	err   error
}

// Do carries out one call.
func (u *Unmasked) Do(call func() error) error {
	u.begin.Do(func() {
		u.calls = make(chan func())
		begun := make(chan error)
		go u.work(begun)
		u.err = <-begun
	})
	if u.err != nil {
		return u.err
	}
	done := make(chan error, 1)
	u.calls <- func() { done <- call() }
	return <-done
}

func (u *Unmasked) work(begun chan<- error) {
	runtime.LockOSThread() // and never unlocked: the runtime ends the thread with this goroutine
	err := unix.Unshare(unix.CLONE_FS)
	if err == nil {
		unix.Umask(0)
	}
	begun <- err
	if err != nil {
		return
	}
	for call := range u.calls {
		call()
	}
}

// Close ends the thread. Nothing may be asked of it any more.
func (u *Unmasked) Close() {
	u.begin.Do(func() { u.err = unix.EBADF })
	if u.calls != nil {
		close(u.calls)
		u.calls = nil
	}
}
