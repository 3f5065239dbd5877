package witness

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/lab/guests"
)

// usePatience is how long one use of a share may take.
const usePatience = 5 * time.Second

// Use writes a small file through /system on every member, reads it back there and removes it.
func Use(l *guests.Lab, r record.Record) []Disappointment {
	var mu sync.Mutex
	var all []Disappointment
	var group sync.WaitGroup
	for _, name := range r.Members() {
		group.Go(func() {
			if err := useOne(l, r, name); err != nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, Disappointment{name, "use of " + r.FS.Link + ": " + err.Error()})
			}
		})
	}
	group.Wait()
	return all
}

// useOne gives up waiting after usePatience: a call on a mount that hangs may never return.
func useOne(l *guests.Lab, r record.Record, name string) error {
	m, err := guests.Find(name)
	if err != nil {
		return err
	}
	guest, err := openRoot(l.Leader(m))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer guest.Close()
		file := "in-use-by-" + name
		full, text := path.Join(r.FS.Link, file), []byte(name+" "+time.Now().Format(time.RFC3339Nano)+"\n")
		if err := guest.write(full, text); err != nil {
			done <- err
			return
		}
		got, err := guest.read(full)
		if err == nil && string(got) != string(text) {
			err = fmt.Errorf("%s reads %q instead of %q", full, got, text)
		}
		done <- errors.Join(err, guest.remove(r.FS.Link, file))
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(usePatience):
		return fmt.Errorf("not done within %s", usePatience)
	}
}
