package record

import (
	"os"
	"sync"
)

// Latest is the record as it is at this moment, for whoever asks so often that reading the files each time would cost too much: what is looked at is
// only where the link leads. It is safe for concurrent use.
type Latest struct {
	Store Store

	mu   sync.Mutex
	link string // where it led when now was read
	now  Record
}

// Record is the newest one; when it cannot be read, the one before. The first must be there.
func (l *Latest) Record() Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, err := os.Readlink(l.Store.Link())
	if err != nil || link == l.link {
		return l.now
	}
	if r, err := l.Store.Current(); err == nil {
		l.link, l.now = link, r
	}
	return l.now
}
