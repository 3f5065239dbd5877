package stream

import (
	"encoding/binary"

	"hafs/lib/replication/change"
)

// SmallBytes is the largest file that travels in one frame, and the largest piece of a larger one.
const SmallBytes = 256 << 10

// Batch is what is being sent in one go. Its steps are numbered from 0.
type Batch struct {
	session *Session
	steps   int
}

// Begin begins a batch. Before it is answered what is at the durable paths is on the disk, and what was brought there in batches before; "." stands for
// all of it.
func (s *Session) Begin(durable ...string) (*Batch, error) {
	s.full = false
	return &Batch{session: s}, s.write(kindBegin, appendPaths(nil, false, durable))
}

// Step sends a step and returns its number.
func (b *Batch) Step(op Op, step Step) (int, error) {
	head := appendStep(make([]byte, 0, 256), step)
	if err := b.session.write(kindStep+kind(op), head, step.Data); err != nil {
		return 0, err
	}
	b.steps++
	return b.steps - 1, b.listen()
}

// listen takes what the receiver says on its own, without waiting for it.
func (b *Batch) listen() error {
	for {
		select {
		case f, ok := <-b.session.frames:
			switch {
			case ok && f.kind == kindFull:
				b.session.full = true
			case ok && f.kind == kindBusy:
			case ok && f.kind == kindRefusal:
				return b.session.fail(Refusal{refusalText(f.body)})
			case ok:
				return b.session.fail(ErrFrame)
			default:
				return b.session.fail(ErrEnded)
			}
		default:
			return nil
		}
	}
}

// InPlace says whether the receiver can change a file where it is.
func (b *Batch) InPlace() bool { return b.session.welcome.Version >= 3 }

// Full says whether the receiver has said that it has no room.
func (b *Batch) Full() bool { return b.session.full }

// Data sends a part of the content of the file that OpWriteLarge began.
func (b *Batch) Data(offset int64, data []byte) error {
	if err := b.session.write(kindData, binary.BigEndian.AppendUint64(nil, uint64(offset)), data); err != nil {
		return err
	}
	return b.listen()
}

// Hole says that a part of the content is zeros that need not be stored.
func (b *Batch) Hole(offset, n int64) error {
	body := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(offset)), uint64(n))
	if err := b.session.write(kindHole, body); err != nil {
		return err
	}
	return b.listen()
}

// Done ends the content; the file becomes as in e.
func (b *Batch) Done(e *change.Entry) error { return b.session.write(kindDone, appendEntry(nil, e)) }

// GiveUp ends the content without result: the file cannot be read.
func (b *Batch) GiveUp() error { return b.session.write(kindGiveUp) }

// End ends the batch, with the position to be noted if all of it succeeds, and waits for the result.
func (b *Batch) End(p *change.Position) (Result, error) {
	if err := b.session.send(kindEnd, appendPosition(nil, p)); err != nil {
		return Result{}, err
	}
	f, err := b.session.answer(kindResult)
	if err != nil {
		return Result{}, err
	}
	r, err := cutResult(f.body, b.session.welcome.Version)
	if err != nil {
		return Result{}, b.session.fail(err)
	}
	return r, nil
}
