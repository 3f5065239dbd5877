package mirror

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"hafs/lib/replication/change"
)

// Pace says how often a replica is compared as a whole, and how fast. It is kept by replicas that are compared in parts; others know Every only.
type Pace struct {
	Every          time.Duration // how often everything is compared although nothing seemed to change
	FillBandwidth  int           // KiB/s of content for a replica that is being filled; 0: no limit
	ScrubEvery     time.Duration // how often contents are compared by their sums; 0: never
	ScrubBandwidth int           // KiB/s that are read for that; 0: no limit
}

// comparison is one that is under way.
type comparison struct {
	*Comparison
	resume   time.Time // when the next part may begin
	progress Progress  // after the last part
}

// comparing says whether a comparison must come to its end before what is applied counts; with r.mu held.
func (r *replica) comparing() bool {
	return len(r.large) > 0 || r.comparison != nil && r.comparison.Waited
}

// like says whether the replica is like the share, but for what waits in its queue; with r.mu held.
func (r *replica) like() bool { return !r.comparing() && !r.needFull }

// next is the comparison whose next part is to come; nil: none is under way. With r.mu held.
func (r *replica) next() *comparison {
	if len(r.large) > 0 {
		return r.large[0]
	}
	return r.comparison
}

// finish begins comparisons of directories that were too large for a batch, where none that is under way comes past them anyway; with r.mu held.
func (r *replica) finish(dirs []string, now time.Time) {
	for _, dir := range dirs {
		passes := func(c *comparison) bool { return c.passes(dir) }
		if r.comparison != nil && r.comparison.Waited && passes(r.comparison) || slices.ContainsFunc(r.large, passes) {
			continue
		}
		r.large = slices.DeleteFunc(r.large, func(c *comparison) bool { return change.Within(c.Directory, dir) })
		c := &comparison{Comparison: NewComparison(false), resume: now}
		c.Directory, c.Waited = dir, true
		r.large = append(r.large, c)
	}
}

// begin begins the comparison that is due; with r.mu held.
func (r *replica) begin(now time.Time) {
	switch {
	case r.comparison != nil:
	case !r.nextScrub.IsZero() && !now.Before(r.nextScrub):
		r.comparison = &comparison{Comparison: NewComparison(true), resume: now}
	case !now.Before(r.nextFull):
		r.comparison = &comparison{Comparison: NewComparison(false), resume: now}
	}
}

// must begins a comparison that everything has to wait for; with r.mu held.
func (r *replica) must(now time.Time) {
	r.needFull, r.large = false, nil
	r.comparison = &comparison{Comparison: NewComparison(false), resume: now}
	r.comparison.Waited = true
}

// scrubAfter plans the first comparison of contents, by the last one if there was any. Without one all replicas of all servers come at different times.
func (r *replica) scrubAfter(last *Scrub) {
	switch {
	case r.pace.ScrubEvery == 0:
	case last != nil:
		r.status.Scrub, r.nextScrub = last, last.Ended.Add(r.pace.ScrubEvery)
	default:
		r.nextScrub = r.answeredAt.Add(time.Duration(rand.Int64N(int64(r.pace.ScrubEvery))))
	}
}

// restShare is how long a comparison that nothing waits for rests after a part, in times of that part.
const restShare = 4

// part makes a part of the comparison.
func (r *replica) part(ctx context.Context, g Gradual) error {
	r.mu.Lock()
	c := r.next()
	if c == nil { // the batch before began with an error
		r.mu.Unlock()
		return nil
	}
	position, known := r.position(r.generation, r.taken, r.queue.Len() == 0)
	if len(r.large) > 1 || !c.whole() && r.comparison != nil && r.comparison.Waited { // others are waited for as well
		known = false
	}
	r.working, r.answeredAt = 1, time.Now()
	before := *c.Comparison
	r.mu.Unlock()
	if known {
		g.LeadsTo(position)
	}
	began := time.Now()
	err := g.Part(ctx, c.Comparison)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := time.Now()
	r.mu.Lock()
	r.working = 0
	if err != nil {
		r.again(err)
		r.mu.Unlock()
		r.changed()
		return err
	}
	c.progress = Progress{Sums: c.Sums, Entries: c.Entries, Sent: c.Sent, Began: c.Began}
	if c.whole() {
		c.progress.Of = r.size.about()
	}
	if c.whole() && c.progress.Of == 0 && now.Sub(c.Began) > countAfter {
		r.size.count()
	}
	switch {
	case !c.whole():
	case c.Waited:
		c.resume = now.Add(transfer(c.Sent-before.Sent, r.pace.FillBandwidth))
	default:
		c.resume = now.Add(max(restShare*now.Sub(began), transfer(c.Read-before.Read, r.pace.ScrubBandwidth)))
	}
	if !c.Done {
		if r.status.State == Broken { // it can be reached again
			r.state(Filling)
		}
		r.mu.Unlock()
		r.changed()
		return nil
	}
	r.ended(c, now)
	r.arrived(r.like()) // its session may have ended meanwhile
	return nil
}

// ended notes a comparison that came to its end; with r.mu held.
func (r *replica) ended(c *comparison, now time.Time) {
	r.large = slices.DeleteFunc(r.large, func(l *comparison) bool { return l == c })
	if !c.whole() {
		return
	}
	if r.comparison == c {
		r.comparison = nil
	}
	r.nextFull, r.status.Checked = now.Add(r.pace.Every), now
	r.size.entries.Store(int64(c.Entries))
	if !c.Sums {
		return
	}
	r.nextScrub = now.Add(r.pace.ScrubEvery)
	r.status.Scrub = &Scrub{Ended: now, Seconds: int(now.Sub(c.Began) / time.Second), Entries: c.Entries, Bytes: c.Read, Differed: c.Differed}
	for _, path := range c.Differed {
		r.log.Warn().Str("path", path).Msg("another content on the replica with the same size and time: written anew")
	}
}

// countAfter is how long a comparison may take before it is worth counting how much there is.
const countAfter = time.Second

// size is how many entries the share has, about.
type size struct {
	share    string
	entries  atomic.Int64
	counting atomic.Bool
}

func (s *size) about() int { return int(s.entries.Load()) }

// count counts names in the background, once.
func (s *size) count() {
	if s.counting.Swap(true) {
		return
	}
	go func() {
		n := int64(0)
		_ = filepath.WalkDir(s.share, func(string, fs.DirEntry, error) error { n++; return nil })
		s.entries.CompareAndSwap(0, n)
	}()
}

// transfer is how long so many bytes take.
func transfer(bytes int64, bandwidth int) time.Duration {
	if bandwidth == 0 {
		return 0
	}
	return time.Duration(float64(bytes) / float64(bandwidth<<10) * float64(time.Second))
}

// shown is how far the comparison is.
func (c *comparison) shown(now time.Time) *Progress {
	p := c.progress
	if p.Entries > 0 && p.Of > p.Entries {
		p.Left = int(now.Sub(p.Began).Seconds() * float64(p.Of-p.Entries) / float64(p.Entries))
	}
	return &p
}
