package link

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hafs/lib/host/disk"
)

// What a file system answers decides whether its server is fit: at once, when it stays, or not at all.
func TestWhatAFileSystemAnswers(t *testing.T) {
	for _, c := range []struct {
		name         string
		share, state error
		atOnce, soon bool // healthy
	}{
		{"all works", nil, nil, true, true},
		{"the share is read-only", syscall.EROFS, nil, false, false},
		{"the share fails", syscall.EIO, nil, false, false},
		{"the share is full", syscall.ENOSPC, nil, true, true},
		{"the share's quota is used up", syscall.EDQUOT, nil, true, true},
		{"the share is not there", syscall.ENOENT, nil, true, true},
		{"no right to the share", syscall.EACCES, nil, true, false},
		{"the state is read-only", nil, syscall.EROFS, false, false},
		{"the state is full: no vote can be saved", nil, syscall.ENOSPC, false, false},
		{"the state is not there", nil, syscall.ENOENT, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				canaries := []*canary{{directory: "share", grave: disk.Grave}, {directory: "state", grave: graveForState}}
				answer := func() {
					for i, err := range []error{c.share, c.state} {
						if err != nil {
							err = fmt.Errorf("open: %w", err)
						}
						canaries[i].hear(err)
					}
				}
				for _, k := range canaries {
					k.hear(nil)
				}
				answer()
				healthy, problem := health(canaries)
				if healthy != c.atOnce || (problem == "") != (c.share == nil && c.state == nil) {
					t.Errorf("at once: healthy %v, problem %q", healthy, problem)
				}
				time.Sleep(canaryPatience + time.Second)
				answer()
				if healthy, problem := health(canaries); healthy != c.soon {
					t.Errorf("when it stays: healthy %v, problem %q", healthy, problem)
				}
				for _, k := range canaries {
					k.hear(nil)
				}
				if healthy, problem := health(canaries); !healthy || problem != "" {
					t.Errorf("when it works again: healthy %v, problem %q", healthy, problem)
				}
			})
		})
	}
}

func TestADiskThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share, state := &canary{directory: "share", grave: disk.Grave, worked: time.Now()}, &canary{directory: "state", grave: graveForState, worked: time.Now()}
		time.Sleep(canaryPatience + time.Second)
		share.hear(nil)
		if healthy, problem := health([]*canary{share, state}); healthy || problem != "no write to state has succeeded for 9s" {
			t.Errorf("healthy %v, problem %q", healthy, problem)
		}
		state.hear(errors.New("late, but an answer"))
		state.hear(nil)
		if healthy, _ := health([]*canary{share, state}); !healthy {
			t.Error("not healthy again")
		}
	})
}
