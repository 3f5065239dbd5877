package benchmark

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hafs/lib/lab/guests"
)

// syncthing is one on each server; the source knows the first replica, and that one the second.
type syncthing struct{ plain }

func (*syncthing) Name() string { return "syncthing" }

func (*syncthing) Settings() []string {
	return []string{"fsWatcherDelayS 1, the least it takes", "sendonly at the source", "no discovery, relays or versions", "the first replica passes on to the second"}
}

const syncthingHome = "/var/lib/bench-syncthing"

const syncthingConfig = `<configuration version="35">
  <folder id="bench" path="%s" type="%s" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="false" autoNormalize="true">
    <filesystemType>basic</filesystemType>
%s  </folder>
%s  <gui enabled="false"></gui>
  <options>
    <listenAddress>tcp://:22000</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled>
    <natEnabled>false</natEnabled>
    <urAccepted>-1</urAccepted>
    <startBrowser>false</startBrowser>
    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <crashReportingEnabled>false</crashReportingEnabled>
    <reconnectionIntervalS>1</reconnectionIntervalS>
  </options>
</configuration>
`

func (s *syncthing) Start(ctx context.Context, f *Field) error {
	if err := f.clear(ctx); err != nil {
		return err
	}
	ids := map[string]string{}
	for _, on := range keepers {
		out, err := f.sh(ctx, on, "rm -rf "+syncthingHome+"; syncthing generate --home "+syncthingHome+" >/dev/null 2>&1; syncthing --home "+syncthingHome+" --device-id")
		if err != nil {
			return err
		}
		ids[on] = strings.TrimSpace(out)
	}
	knows := map[string][]string{source: {source, first}, first: {source, first, second}, second: {first, second}}
	for _, on := range keepers {
		var shared, devices strings.Builder
		for _, name := range knows[on] {
			m, err := guests.Find(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&shared, "    <device id=%q></device>\n", ids[name])
			fmt.Fprintf(&devices, "  <device id=%q name=%q compression=\"never\"><address>tcp://%s:22000</address></device>\n", ids[name], name, m.Address)
		}
		kind := "sendreceive"
		if on == source {
			kind = "sendonly"
		}
		err := errors.Join(
			f.put(ctx, on, syncthingHome+"/config.xml", "600", fmt.Sprintf(syncthingConfig, directory, kind, shared.String(), devices.String())),
			f.put(ctx, on, directory+"/.stfolder/keep", "644", ""),
			f.begin(ctx, on, "syncthing", "exec syncthing serve --home "+syncthingHome+" --no-browser --no-restart --no-upgrade"))
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *syncthing) Stop(ctx context.Context, f *Field) error { return s.stop(ctx, f) }
