package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/replication/change"
	"hafs/lib/replication/stream"
	"hafs/lib/replication/tree"
)

// large is a large file on its way, while programs may write it. It is read in laps, from the front. A lap follows a file that grows; what was read before
// the last change is read again in the next one, and sent if it differs from what the receiver has by then. So a file that is written from front to back
// has arrived soon after its last byte was written.
type large struct {
	file     *os.File
	torn     func() bool // says that this server's own copy of some file may be neither old nor new; nil: never
	batch    *stream.Batch
	progress func()

	sums   []uint64       // of the blocks as the receiver has them; 0: not known
	blocks []stream.Block // of the receiver's file when it began, for blocks whose sum is not known
	mark   mark           // of the file when it was looked at last
	looked time.Time      // when that was
	sent   int64          // bytes
	lost   error          // why the session is over
	buffer *[copyBytes]byte

	dataStart, dataEnd int64 // what holds data; what is before is a hole
	holeStart, holeEnd int64 // of holes that are not told yet
}

// mark tells states of a file apart.
type mark struct{ size, mtime, ctime int64 }

const (
	// quietFor is how long nobody must have written a file of quietBytes and more before it is taken as it is: it is cheaper to wait than to send it, half
	// written, and again.
	quietFor   = 50 * time.Millisecond
	quietBytes = 8 << 20
	quietEvery = 5 * time.Millisecond
	// followFor is for how long a file is followed, as changes of others wait meanwhile. If it still changes then, after so many laps, it is taken as it is, with the
	// time it had before: it looks different at the next comparison, which the event of the next write causes.
	followFor = 2 * time.Second
	fewLaps   = 3
	// maxSums bounds the memory for a file: what is behind 128 GiB is sent in each lap.
	maxSums = 1 << 20
)

var errInPlace = errors.New("is being changed in place")

// send sends the file, and returns what it is then.
func (l *large) send() (*change.Entry, error) {
	l.buffer = copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(l.buffer)
	size := int64(0) // as of the last whole lap
	deadline := time.Now().Add(followFor)
	for laps, until := 1, wholeLap; ; laps++ {
		l.looked = time.Now()
		before, err := tree.Stat(l.file)
		if err != nil {
			return nil, err
		}
		if !before.Xattrs.Known() {
			return nil, change.ErrXattrs
		}
		if now := markOf(before); now != l.mark { // also by what was written since the lap before
			l.mark, until = now, wholeLap
		}
		end, stale, err := l.lap(until, deadline)
		if err != nil {
			return nil, err
		}
		if until != wholeLap { // its last block may have become longer
			end = max(size, end)
		}
		size = end
		after, err := tree.Stat(l.file)
		if err != nil {
			return nil, err
		}
		torn := l.torn != nil && l.torn()
		late := laps >= fewLaps && time.Now().After(deadline)
		switch {
		case torn && late:
			return nil, fmt.Errorf("%s: %w", l.file.Name(), errInPlace)
		case torn:
			time.Sleep(quietEvery)
			until = wholeLap
		case stale == 0 && markOf(after) == l.mark && after.Xattrs.Known() && after.Size == size:
			l.sums = l.sums[:min(len(l.sums), blocksOf(size))]
			return after, nil
		case late:
			before.Size = size
			l.sums = l.sums[:min(len(l.sums), blocksOf(size))]
			return before, nil
		case stale == 0:
			until = wholeLap
		default:
			until = stale
		}
	}
}

// hash is that of the content that was sent; 0: it is too large for that.
func (l *large) hash() uint64 {
	if len(l.sums) >= maxSums {
		return 0
	}
	return sumOfSums(l.sums)
}

func blocksOf(size int64) int { return int((size + stream.BlockBytes - 1) / stream.BlockBytes) }

func markOf(e *change.Entry) mark { return mark{e.Size, e.Mtime, e.Ctime} }

// wholeLap is a lap to the end of the file, wherever that is by then.
const wholeLap = int64(math.MaxInt64)

// lap reads the file up to a place. What is before stale may be older than the file is now; 0: nothing is.
func (l *large) lap(until int64, deadline time.Time) (end, stale int64, err error) {
	l.dataStart, l.dataEnd = 0, 0
	offset, whole := int64(0), until == wholeLap
	changed := func(so bool) {
		switch {
		case !so:
			return
		case whole:
			stale = offset
		default: // what is behind this lap was read before
			stale = wholeLap
		}
		l.dataStart, l.dataEnd = 0, 0 // what was a hole may not be one any more
	}
	for offset < until {
		if whole && until == wholeLap && time.Now().After(deadline) { // it may grow faster than it is sent
			until = l.mark.size
		}
		if offset >= l.mark.size {
			if !whole {
				break
			}
			grown, touched, err := l.follow(deadline)
			if err != nil {
				return 0, 0, err
			}
			if changed(touched); !grown || offset > l.mark.size {
				break
			}
			offset -= offset % stream.BlockBytes
		}
		n, err := l.one(offset)
		if err != nil {
			return 0, 0, err
		}
		offset += int64(n)
		touched, err := l.look()
		if err != nil {
			return 0, 0, err
		}
		changed(touched)
		if offset < l.mark.size { // it grew within its last block
			offset -= offset % stream.BlockBytes
		}
	}
	return offset, stale, l.tellHole()
}

// look says whether something may have been written to the file since the last look. What was written within a tick of the kernel's clock bears one time.
func (l *large) look() (bool, error) {
	var st unix.Stat_t
	looked := l.looked
	l.looked = time.Now()
	if err := unix.Fstat(int(l.file.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "stat", Path: l.file.Name(), Err: err}
	}
	now := mark{st.Size, st.Mtim.Nano(), st.Ctim.Nano()}
	before := l.mark
	l.mark = now
	age := looked.Sub(time.Unix(0, now.ctime)) // at the look before: something was read since
	return now != before || age > -tick && age < tick, nil
}

// young says whether a file was written a moment ago.
func young(mtime int64) bool {
	age := time.Since(time.Unix(0, mtime))
	return age >= 0 && age < quietFor
}

// follow waits at the end of a file until it has grown, or was left alone for long enough. touched: something was written, wherever.
func (l *large) follow(deadline time.Time) (grown, touched bool, err error) {
	for before := l.mark.size; before >= quietBytes && young(l.mark.mtime) && time.Now().Before(deadline); {
		time.Sleep(quietEvery)
		l.progress()
		so, err := l.look()
		if err != nil {
			return false, false, err
		}
		touched = touched || so
		if l.mark.size > before {
			return true, touched, nil
		}
	}
	return false, touched, nil
}

// one reads a block and sends it if the receiver does not have it. It returns how long the block is; 0: the file ends before it.
func (l *large) one(offset int64) (n int, err error) {
	if offset >= l.dataEnd {
		if l.dataStart, l.dataEnd, err = tree.Data(l.file, offset, l.mark.size); err != nil {
			return 0, err
		}
	}
	l.progress()
	n = int(min(stream.BlockBytes, l.mark.size-offset))
	hole := offset+int64(n) <= l.dataStart
	block, sum := zeros[:n], zeroSum
	if !hole {
		n, err = io.ReadFull(io.NewSectionReader(l.file, offset, stream.BlockBytes), l.buffer[:stream.BlockBytes])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		block = l.buffer[:n]
	}
	if !hole || n < stream.BlockBytes {
		sum = sumOf(block)
	}
	if n == 0 || l.has(offset, block, sum) {
		return n, nil
	}
	start, end := 0, n
	if hole {
		end = 0
	} else if offset < l.dataStart || offset+int64(n) > l.dataEnd { // partly a hole
		start, end = withoutZeros(block)
	}
	return n, l.put(offset, block, start, end)
}

// withoutZeros says what is left of a block without whole pages of zeros at its front and its end.
func withoutZeros(block []byte) (start, end int) {
	end = len(block)
	for start+tree.HoleBytes <= end && bytes.Equal(block[start:start+tree.HoleBytes], zeros[:tree.HoleBytes]) {
		start += tree.HoleBytes
	}
	for page := tree.HoleBytes * ((end - 1) / tree.HoleBytes); page > start && bytes.Equal(block[page:end], zeros[:end-page]); page -= tree.HoleBytes {
		end = page
	}
	return start, end
}

// put sends a block: what is in it from start to end, and holes around that.
func (l *large) put(offset int64, block []byte, start, end int) error {
	if err := l.addHole(offset, int64(start)); err != nil {
		return err
	}
	if start < end {
		if err := l.tellHole(); err != nil {
			return err
		}
		l.sent += int64(end - start)
		if l.lost = l.batch.Data(offset+int64(start), block[start:end]); l.lost != nil {
			return l.lost
		}
	}
	return l.addHole(offset+int64(end), int64(len(block)-end))
}

// has says whether the receiver has a block, and notes that it will.
func (l *large) has(offset int64, block []byte, sum uint64) bool {
	number := int(offset / stream.BlockBytes)
	if number >= maxSums {
		return false
	}
	for len(l.sums) <= number {
		l.sums = append(l.sums, 0)
	}
	known := l.sums[number]
	l.sums[number] = sum
	if known != 0 {
		return sum == known
	}
	return number < len(l.blocks) && stream.BlockOf(block) == l.blocks[number]
}

// zeroSum is the hash of a block that is a hole.
var zeroSum = sumOf(zeros[:stream.BlockBytes])

// addHole notes a hole that is to be told; the next one may go on where it ends.
func (l *large) addHole(offset, n int64) error {
	if n == 0 {
		return nil
	}
	if offset != l.holeEnd {
		if err := l.tellHole(); err != nil {
			return err
		}
		l.holeStart = offset
	}
	l.holeEnd = offset + n
	return nil
}

func (l *large) tellHole() error {
	if l.holeStart == l.holeEnd {
		return nil
	}
	l.lost = l.batch.Hole(l.holeStart, l.holeEnd-l.holeStart)
	l.holeStart = l.holeEnd
	return l.lost
}
