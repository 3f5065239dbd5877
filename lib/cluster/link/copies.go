package link

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"hafs/lib/cluster/record"
)

// copiesEvery is how often the file sharing server looks whether one of its replicas is behind.
const copiesEvery = time.Second

// followCopies reads what hafs-mirror says of the replicas.
func (d *Daemon) followCopies(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		fs := d.record.Role(d.Settings.Name) == record.RoleFS
		d.mu.Unlock()
		var b Behind
		if fs {
			b = readBehind(d.Settings.Run("mirror.json"))
		}
		d.mu.Lock()
		before := d.behind
		d.behind = b
		d.mu.Unlock()
		if b.Name != before.Name || b.Name != "" {
			d.nudge()
		}
		sleep(ctx, copiesEvery)
	}
}

func readBehind(path string) Behind {
	var status struct {
		Generation uint64 `json:"generation"`
		Behind     *struct {
			Name  string    `json:"name"`
			Since time.Time `json:"since"`
		} `json:"behind"`
	}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &status) != nil || status.Behind == nil {
		return Behind{}
	}
	return Behind{status.Generation, status.Behind.Name, status.Behind.Since}
}

// unable are the replicas to be reported because they are behind; with d.mu held.
func (d *Daemon) unable() []Report {
	alive := map[string]bool{}
	for name, p := range d.peers {
		alive[name] = p.snapshot().Verdict == Alive
	}
	reports := Unable(d.record, d.Settings.Name, d.behind, alive, time.Now())
	for _, r := range reports {
		if _, told := d.due[r.Server]; !told {
			d.Log.Warn().Str("event", "unable").Str("peer", r.Server).Msg("this replica does not take what others take: it is reported as failed")
		}
	}
	return reports
}
