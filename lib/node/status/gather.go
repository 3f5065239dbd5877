package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
)

// patience bounds how long one server may take to answer.
const patience = 2 * time.Second

// Gather asks all servers of the record at once, through this server's hafs-linkcheck.
func Gather(ctx context.Context, s config.Settings, r record.Record) map[string]Answer {
	daemon := link.Client{Socket: s.Run("link.sock")}
	answers := map[string]Answer{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, server := range r.Servers {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			asked := time.Now()
			d, err := daemon.Inquire(ctx, server.Name)
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("no answer in %s", patience)
			}
			a := Answer{Details: d, RTT: time.Since(asked), Err: err}
			_ = json.Unmarshal(d.Role, &a.Role) // a server that just booted has none yet
			_ = json.Unmarshal(d.Mirror, &a.Mirror)
			_ = json.Unmarshal(d.Dial, &a.Dial)
			mu.Lock()
			defer mu.Unlock()
			answers[server.Name] = a
		})
	}
	asking.Wait()
	return answers
}
