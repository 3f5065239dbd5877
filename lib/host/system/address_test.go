package system

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const virtual, virtualIP = "192.0.2.9/24", "192.0.2.9"

// inNetwork runs a test in a network namespace of its own, which ends with its thread.
func inNetwork(t *testing.T, test func() error) {
	t.Helper()
	done, skip := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			skip <- err
			return
		}
		done <- test()
	}()
	select {
	case err := <-skip:
		t.Skip("needs root: ", err)
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	}
}

// gone waits until the kernel has taken the address away and says when it was seen last.
func gone() (time.Time, error) {
	deadline := time.Now().Add(10 * time.Second)
	for last := time.Now(); ; time.Sleep(time.Millisecond) {
		here, err := HasAddress("lo", virtualIP)
		if err != nil || !here {
			return last, err
		}
		if last = time.Now(); last.After(deadline) {
			return last, fmt.Errorf("the address is still there")
		}
	}
}

// What a frozen or killed toolkit leaves behind: the address goes by itself, counted from when it was renewed last.
func TestAddressWithLifetime(t *testing.T) {
	inNetwork(t, func() error {
		m := Machine{}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		started := time.Now()
		var renewed time.Time
		for time.Since(started) < 1500*time.Millisecond { // longer than the lifetime
			renewed = time.Now()
			if err := m.AddAddress("add", "lo", virtual, time.Second); err != nil {
				return err
			}
			if here, err := HasAddress("lo", virtualIP); err != nil || !here {
				return fmt.Errorf("not there after a renewal: %v", err)
			}
			<-time.After(100 * time.Millisecond)
		}
		last, err := gone()
		if err != nil {
			return err
		}
		t.Logf("lifetime 1 s: gone %d ms after the last renewal", last.Sub(renewed).Milliseconds())
		if kept := last.Sub(renewed); kept < 900*time.Millisecond || kept > 2*time.Second {
			return fmt.Errorf("gone after %s", kept)
		}
		if err := m.AddAddress("add", "lo", virtual, time.Hour); err != nil {
			return err
		}
		for range 2 {
			if err := m.DropAddress("drop", "lo", virtual); err != nil {
				return err
			}
		}
		if here, err := HasAddress("lo", virtualIP); err != nil || here {
			return fmt.Errorf("still there after it was dropped: %v", err)
		}
		return nil
	})
}
