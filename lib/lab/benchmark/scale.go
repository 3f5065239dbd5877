package benchmark

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hafs/lib/lab/shape"
)

const (
	fewFiles    = 100 // what a share of many is compared with
	scaleBytes  = 200
	scaleFolder = 1000 // files in one
	scaleLook   = 20 * time.Second
	// patienceEach is how much longer waits may take for each file of the share.
	patienceEach = 5 * time.Millisecond
)

// scale weighs HAFS and kills its serving server, first with few files in the share and then with many, in the paper's cluster of three pairs.
func scale(ctx context.Context, r *run, s Subject) (err error) {
	if _, is := s.(*hafs); !is {
		return fmt.Errorf("%s has no pairs", s.Name())
	}
	r.cluster.Patience = time.Duration(r.ShareFiles) * patienceEach
	defer func() {
		err = errors.Join(err, r.cluster.Restore(ctx, benchShape))
		r.cluster.Patience = 0
	}()
	if err := r.cluster.Restore(ctx, shape.Paper()); err != nil {
		return err
	}
	empty, err := r.weigh(ctx, holding(s, 0))
	if err != nil {
		return err
	}
	for _, files := range []int{fewFiles, r.ShareFiles} {
		if err := r.scaled(ctx, s, files, empty); err != nil {
			return fmt.Errorf("%d files: %w", files, err)
		}
	}
	for _, d := range r.report.differences("scale", holding(s, r.ShareFiles).Name(), holding(s, fewFiles).Name()) {
		r.add(named{s, s.Name() + ", difference"}, "scale", d.What, d.Unit, d.P50)
	}
	return nil
}

// holding is a subject with so many files in its share.
func holding(s Subject, files int) Subject { return named{s, fmt.Sprintf("%s, %d", s.Name(), files)} }

// scaled measures with so many files in the share, which it makes and takes away. empty is what hafs-mirror on FS took before, in bytes.
func (r *run) scaled(ctx context.Context, s Subject, files int, empty int64) error {
	as, folder := holding(s, files), s.Source().Below("scale")
	forget()
	if err := r.everywhere(ctx, as, "burst", fmt.Sprintf("--files=%d", files), fmt.Sprintf("--per-folder=%d", scaleFolder),
		fmt.Sprintf("--bytes=%d", scaleBytes), folder); err != nil {
		return err
	}
	fs, err := r.weigh(ctx, as)
	if err != nil {
		return err
	}
	if files > fewFiles { // a few are lost in the noise
		r.add(as, "scale", "memory for each file, FS", "bytes", float64(fs-empty)/float64(files))
	}
	for n := range r.Rounds {
		// A spare that was a replica in an earlier round has nearly all files. Of a spare nothing counts, and it is compared as a whole when it is fed.
		if err := r.shAll(ctx, shape.Paper().Spares, "rm -rf "+s.Source().Directory); err != nil {
			return err
		}
		unix.Sync()
		outcome, err := r.killed(ctx, shape.Paper())
		if err != nil {
			return fmt.Errorf("kill %d: %w", n+1, err)
		}
		r.addExperience(as, "scale", "", outcome)
		r.add(as, "scale", "failure until its detection", "s", outcome.detected)
		r.add(as, "scale", "detection until the client is served", "s", outcome.served())
		r.add(as, "scale", "detection until all replicas are complete that were some before", "s", outcome.kept)
		r.add(as, "scale", "detection until all replicas are complete, the spare's too", "s", outcome.whole)
	}
	return r.everywhere(ctx, as, "remove", folder)
}

// everywhere has FS do an errand, and waits until all replicas are as its share then is.
func (r *run) everywhere(ctx context.Context, s Subject, what ...string) error {
	done, err := r.errand(ctx, source, what...)
	if err != nil {
		return err
	}
	r.say("%s: %s took %.1f s on FS", s.Name(), what[0], seconds(done[0].Ended-done[0].Begun))
	limit := bulkLimit + r.cluster.Patience
	if err := r.passedOn(ctx, s, limit); err != nil {
		return err
	}
	if err := r.cluster.Restore(ctx, shape.Paper()); err != nil { // if a server was lost over it
		return err
	}
	return r.cluster.AwaitIdentical(ctx, limit)
}

// passedOn waits until the DRS1s have everything, and says what they lack meanwhile.
func (r *run) passedOn(ctx context.Context, s Subject, within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		_, err := r.command(ctx, source, nil, "hafs-mirror", "wait", "--timeout", scaleLook.String())
		if err == nil || time.Now().After(deadline) {
			return err
		}
		r.say("%s: %v", s.Name(), err)
		if err := rest(ctx, time.Second); err != nil {
			return err
		}
	}
}

// weigh adds what hafs-mirror takes in each role, and returns what it takes on FS, in bytes.
func (r *run) weigh(ctx context.Context, as Subject) (fs int64, err error) {
	if err := rest(ctx, idleRest); err != nil {
		return 0, err
	}
	for _, p := range []struct{ role, guest string }{{"FS", source}, {"DRS1", first}, {"DRS2", second}} {
		u, err := r.usage(p.guest)
		if err != nil {
			return 0, err
		}
		r.add(as, "scale", "memory, "+p.role, "MiB", mebibytes(u.pss["hafs-mirror"]))
		if p.guest == source {
			fs = u.pss["hafs-mirror"]
		}
	}
	return fs, nil
}
