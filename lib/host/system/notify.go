package system

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellEvery is how often a service tells that it works, at least: hafs-linkcheck says of one that has not for some time that it hangs, long before
// systemd's watchdog, which has to be patient, ends it.
const tellEvery = 2 * time.Second

// Ready tells systemd that the service works, and then again and again that it still does, as long as alive says so: every tellEvery, and at least
// twice in the time of its watchdog. Without systemd, or without a watchdog, it does nothing.
func Ready(ctx context.Context, alive func() bool) {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	go func() {
		ticker := time.NewTicker(min(interval/2, tellEvery))
		defer ticker.Stop()
		for {
			if alive() {
				_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}
