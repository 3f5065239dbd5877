package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"hafs/lib/client/dial"
	"hafs/lib/cluster/gate"
	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/socket"
	"hafs/lib/host/system"
	"hafs/lib/node/feeding"
	"hafs/lib/node/reception"
	"hafs/lib/replication/change"
	"hafs/lib/replication/mirror"
)

// copyPatience is how much longer than the examination time a client's change waits for copies that do nothing: who has failed has been replaced by then.
const copyPatience = 4 * time.Second

// serve keeps the replicas that the record asks for, and follows it.
func (c *runCommand) serve(ctx context.Context) error {
	log := c.Common.Log()
	settings, err := c.Common.Settings()
	if err != nil {
		return err
	}
	store := record.Store{Directory: settings.StateDirectory}
	r, err := store.Current()
	if err != nil {
		return err
	}
	share, err := openShare(feeding.Share(r, settings.Name))
	if err != nil {
		return err
	}
	defer share.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	latest := &record.Latest{Store: store}
	pace := mirror.Pace{
		Every: c.Every, FillBandwidth: settings.FillBandwidth, ScrubEvery: settings.ScrubEvery, ScrubBandwidth: settings.ScrubBandwidth,
	}
	first, err := mirror.FirstNumber(settings.Numbers(), time.Now())
	if err != nil {
		return err
	}
	m := &mirror.Mirror{
		Share: share, First: first, StatusFile: settings.Run("mirror.json"), Pace: pace, Newest: func() uint64 { return latest.Record().Generation }, Log: log,
		Patience: settings.ExaminationTime + copyPatience, History: &change.History{},
	}
	serves := func() bool { return latest.Record().FS.Name == settings.Name } // what comes to a DRS1 was let go there
	var desk *reception.Reception
	m.Transport = func(w mirror.Wanted) mirror.Transport {
		if w.Transport != mirror.StreamTransport {
			return c.transport(share, w, true, settings.RsyncBandwidth, log)
		}
		return &mirror.Stream{
			Share: share, Cluster: r.Cluster, Self: settings.Name, Sync: !c.NoSync, Log: log.With().Str("replica", w.Name).Logger(),
			Open: func(context.Context) (io.ReadWriteCloser, error) { // the session outlives the batch it is opened for
				return dial.Open(ctx, settings.Run("dial.sock"), w.Target, []string{"stream"})
			},
			Generation: m.Newest, History: m.History,
			Through: func() bool { return settings.Acknowledge == config.AcknowledgeDRS2 && serves() },
			Whole:   func() bool { return desk.Whole() },
			Torn:    settings.Torn,
			Deletes: &mirror.DeleteBudget{Percent: settings.DeleteLimit, Applies: serves},
		}
	}
	m.Start(ctx)
	in, listener, err := inherited(settings.Run("mirror.sock"))
	if err != nil {
		return err
	}
	defer listener.Close()
	sessions, err := socket.Listen(settings.Run(gate.SessionSocket))
	if err != nil {
		return err
	}
	defer sessions.Close()
	desk = reception.New(settings, latest, m, share.Name, log)
	if err := desk.Recover(); err != nil { // whoever feeds this copy, or its first client, makes it whole or hears why not
		log.Error().Err(err).Msg("this copy is not whole")
	}
	m.Drain = desk.Drain
	go desk.Accept(ctx, sessions)
	go m.Serve(listener)
	records, err := store.Follow(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.feed(ctx, m, in) }()
	system.Ready(ctx, func() bool { return m.Status().PID != 0 }) // a mirror that is stuck does not answer
	streams := settings.Transport == config.TransportStream
	for {
		select {
		case r, open := <-records:
			if !open {
				return nil
			}
			if feeding.Share(r, settings.Name) != share.Name {
				return fmt.Errorf("generation %d replicates another directory: start again", r.Generation)
			}
			wanted := feeding.Replicas(r, settings.Name, streams)
			log.Info().Uint64("generation", r.Generation).Int("replicas", len(wanted)).Msg("following the record")
			leads := uint64(0)
			if r.FS.Name == settings.Name {
				leads = r.Generation
			}
			m.Lead(leads)
			m.Keep(r.Generation, wanted)
		case err := <-ended:
			if err == nil && ctx.Err() == nil {
				err = errors.New("the changes ended: hafs-watch should keep its end of the pipe open")
			}
			return err
		}
	}
}

// inherited takes what systemd opened for this service: the FIFO of changes and the socket. Without it changes come from the standard input,
// and the socket is made.
func inherited(path string) (*os.File, net.Listener, error) {
	in, listener := os.Stdin, net.Listener(nil)
	for _, f := range activation.Files(true) {
		st, err := f.Stat()
		if err != nil {
			return nil, nil, err
		}
		switch {
		case st.Mode()&os.ModeNamedPipe != 0:
			in = f
		case st.Mode()&os.ModeSocket != 0:
			if listener, err = net.FileListener(f); err != nil {
				return nil, nil, fmt.Errorf("socket from systemd: %w", err)
			}
			f.Close()
		}
	}
	if listener == nil {
		made, err := socket.Listen(path)
		return in, made, err
	}
	return in, listener, nil
}
