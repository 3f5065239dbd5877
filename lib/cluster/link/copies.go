package link

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"hafs/lib/cluster/record"
	"hafs/lib/host/problem"
)

// copiesEvery is how often the file sharing server looks whether one of its replicas is behind.
const copiesEvery = time.Second

// followCopies reads what hafs-mirror says of the replicas, and of the share itself.
func (d *Daemon) followCopies(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		fs := d.record.Role(d.Settings.Name) == record.RoleFS
		d.mu.Unlock()
		var b Behind
		var unfit problem.Problem
		if fs {
			b, unfit = readCopies(d.Settings.Run("mirror.json"), time.Now())
		}
		d.mu.Lock()
		before := d.behind
		d.behind, d.unfit = b, unfit
		d.noteBare(fs, time.Now())
		look := b.Name != before.Name || b.Name != "" || len(d.bareSince) > 0
		d.mu.Unlock()
		if look {
			d.nudge()
		}
		sleep(ctx, copiesEvery)
	}
}

// copiesFresh is how old what hafs-mirror says may be; it says so every 2 s.
const copiesFresh = 10 * time.Second

func readCopies(path string, now time.Time) (b Behind, unfit problem.Problem) {
	var status struct {
		Generation uint64     `json:"generation"`
		Updated    time.Time  `json:"updated"`
		Share      string     `json:"share"`
		Problem    string     `json:"problem"`
		ProblemID  problem.ID `json:"problem_id"`
		Behind     *struct {
			Name  string    `json:"name"`
			Since time.Time `json:"since"`
		} `json:"behind"`
	}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &status) != nil {
		return Behind{}, unfit
	}
	if now.Sub(status.Updated) < copiesFresh {
		unfit = problem.Problem{ID: status.ProblemID, Part: status.Share, Text: status.Problem}
	}
	if status.Behind != nil {
		b = Behind{status.Generation, status.Behind.Name, status.Behind.Since}
	}
	return b, unfit
}

// unable are the servers to be reported because they are behind, or because their directories do not hold the share; with d.mu held.
func (d *Daemon) unable() []Report {
	alive, now := map[string]bool{}, time.Now()
	for name, p := range d.peers {
		alive[name] = p.snapshot().Verdict == Alive
	}
	why := "this replica does not take what others take: it is reported as failed"
	reports := Unable(d.record, d.Settings.Name, d.behind, alive, now)
	if len(reports) == 0 {
		why = "the directory of this server does not hold the share: it is reported as failed"
		reports = Bare(d.record, d.Settings.Name, d.bareSince, alive, now)
	}
	for _, r := range reports {
		if _, told := d.due[r.Server]; !told {
			d.Log.Warn().Str("event", "unable").Str("peer", r.Server).Msg(why)
		}
	}
	return reports
}
