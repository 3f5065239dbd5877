package sim

import (
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
)

// disk holds what a server keeps: its vote and its newest generation. What is not synced may be gone after a power loss.
type disk struct {
	vote, syncedVote     agree.Vote
	record, syncedRecord *record.Record
	voteDirty, dirty     bool
	times                lease.Times // synced with each change
}

// lose is what a power loss leaves: the old state or the new one of whatever was not synced.
func (d *disk) lose(w *world) {
	if d.voteDirty && w.chance(0.5) {
		d.vote = d.syncedVote
	}
	if d.dirty && w.chance(0.5) {
		d.record = d.syncedRecord
	}
	d.keep()
}

// keep is record.Store.Keep: what was killed between a swap and its sync is synced at the next start. The vote lies in the same directory.
func (d *disk) keep() {
	d.syncedVote, d.syncedRecord, d.voteDirty, d.dirty = d.vote, d.record, false, false
}

// job puts work on the queue of things that happen one at a time on this server: votes and installations. It calls finish at its end.
func (s *server) job(work func(finish func())) {
	s.jobs = append(s.jobs, work)
	if len(s.jobs) == 1 {
		s.nextJob()
	}
}

func (s *server) nextJob() {
	s.jobs[0](func() {
		s.jobs = s.jobs[1:]
		if len(s.jobs) > 0 {
			s.nextJob()
		}
	})
}

// write takes steps one after another; power may go before any of them and after the last, or the process.
func (s *server) write(done func(), steps ...func()) {
	if s.world.chance(s.world.torn) {
		if s.world.rng.IntN(4) == 0 {
			s.kill()
		} else {
			s.powerLoss("between two writes")
		}
		return
	}
	if len(steps) == 0 {
		done()
		return
	}
	took := s.world.between(200*time.Microsecond, 3*time.Millisecond)
	if s.world.chance(0.02) && !s.world.calm {
		took = s.world.between(10*time.Millisecond, 400*time.Millisecond)
	}
	s.after(took, func() {
		steps[0]()
		s.write(done, steps[1:]...)
	})
}

// saveVote follows agree.Store.Save: write beside, rename, sync.
func (s *server) saveVote(v agree.Vote, done func()) {
	d := &s.disk
	s.write(done,
		func() {},
		func() { d.vote, d.voteDirty = v, true },
		func() {
			if !s.world.rules.skipSync {
				d.syncedVote, d.voteDirty = v, false
			}
		})
}

// saveRecord follows record.Store: write the generation's folder, swap the link, sync.
func (s *server) saveRecord(r *record.Record, done func()) {
	d := &s.disk
	s.write(done,
		func() {},
		func() {},
		func() { d.record, d.dirty = r, true },
		func() {
			if !s.world.rules.skipSync {
				d.syncedRecord, d.dirty = r, false
			}
		})
}
