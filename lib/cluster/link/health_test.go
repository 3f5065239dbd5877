package link

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hafs/lib/host/disk"
	"hafs/lib/host/problem"
)

// What a file system answers decides whether its server is fit: at once, when it stays, or not at all.
func TestWhatAFileSystemAnswers(t *testing.T) {
	for _, c := range []struct {
		name         string
		share, state error
		atOnce, soon bool // healthy
		id           problem.ID
		part         string
	}{
		{"all works", nil, nil, true, true, "", ""},
		{"the share is read-only", syscall.EROFS, nil, false, false, problem.ReadOnly, "share"},
		{"the share fails", syscall.EIO, nil, false, false, problem.Failing, "share"},
		{"the share is full", syscall.ENOSPC, nil, true, true, problem.Full, "share"},
		{"the share's quota is used up", syscall.EDQUOT, nil, true, true, problem.Full, "share"},
		{"the share is not there", syscall.ENOENT, nil, true, true, problem.NoSuchDir, "share"},
		{"no right to the share", syscall.EACCES, nil, true, false, problem.Refusing, "share"},
		{"the state is read-only", nil, syscall.EROFS, false, false, problem.ReadOnly, "state"},
		{"the state is full: no vote can be saved", nil, syscall.ENOSPC, false, false, problem.Full, "state"},
		{"the state is not there", nil, syscall.ENOENT, false, false, problem.NoSuchDir, "state"},
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
				healthy, p := health(canaries)
				if healthy != c.atOnce || (p.Text == "") != (c.share == nil && c.state == nil) || p.ID != c.id || p.Part != c.part {
					t.Errorf("at once: healthy %v, problem %v", healthy, p)
				}
				time.Sleep(canaryPatience + time.Second)
				answer()
				if healthy, p := health(canaries); healthy != c.soon || p.ID != c.id || p.Part != c.part {
					t.Errorf("when it stays: healthy %v, problem %v", healthy, p)
				}
				for _, k := range canaries {
					k.hear(nil)
				}
				if healthy, p := health(canaries); !healthy || p != (problem.Problem{}) {
					t.Errorf("when it works again: healthy %v, problem %v", healthy, p)
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
		want := problem.Problem{ID: problem.Frozen, Part: "state", Text: "no write to state has succeeded for 9s"}
		if healthy, p := health([]*canary{share, state}); healthy || p != want {
			t.Errorf("healthy %v, problem %v", healthy, p)
		}
		state.hear(errors.New("late, but an answer"))
		state.hear(nil)
		if healthy, _ := health([]*canary{share, state}); !healthy {
			t.Error("not healthy again")
		}
	})
}

// What a file system answered last says nothing of one that does not answer any more.
func TestADiskThatAnswersNoMore(t *testing.T) {
	for _, last := range []error{nil, syscall.ENOSPC, syscall.ENOENT, syscall.EACCES, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			share := &canary{directory: "share", grave: disk.Grave, worked: time.Now()}
			share.begin()
			share.hear(last)
			time.Sleep(canaryInterval)
			share.begin()
			time.Sleep(canaryPatience)
			want := problem.Problem{ID: problem.Frozen, Part: "share", Text: "no write to share has succeeded for 9s"}
			if healthy, p := share.state(); healthy || p != want {
				t.Errorf("after %v: healthy %v, problem %v", last, healthy, p)
			}
			share.hear(syscall.EACCES)
			want = problem.Problem{ID: problem.Refusing, Part: "share", Text: "write to share: permission denied; no write has succeeded for 9s"}
			if healthy, p := share.state(); healthy || p != want {
				t.Errorf("after %v and a refusal: healthy %v, problem %v", last, healthy, p)
			}
		})
	}
}

// A write that takes long is worth a note while it takes, and a moment longer; what has failed altogether is no matter of slowness.
func TestASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := &canary{directory: "share", grave: disk.Grave, worked: time.Now()}
		said := func() string {
			p, slow := share.slowness()
			if slow != (p.ID == problem.Slow && p.Note && p.Part == "share") {
				t.Errorf("slow %v: %v", slow, p)
			}
			return p.Text
		}
		for _, step := range []struct {
			after time.Duration
			do    func()
			want  string
		}{
			{0, share.begin, ""},
			{900 * time.Millisecond, func() { share.hear(nil) }, ""},
			{time.Second, share.begin, ""},
			{1500 * time.Millisecond, func() {}, "a write of 512 bytes to share takes 1.5s"},
			{500 * time.Millisecond, func() { share.hear(nil) }, "a write of 512 bytes to share takes 2s"},
			{time.Second, share.begin, "a write of 512 bytes to share takes 2s"},
			{0, func() { share.hear(nil) }, "a write of 512 bytes to share takes 2s"},
			{2100 * time.Millisecond, func() {}, ""},
		} {
			time.Sleep(step.after)
			step.do()
			if got := said(); got != step.want {
				t.Errorf("%q, want %q", got, step.want)
			}
		}
	})
}
