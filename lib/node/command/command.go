// Package command is what all programs have in common: flags through kong, the log on stderr, errors with an exit status.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"hafs/lib/cluster/record"
	"hafs/lib/host/config"
	"hafs/lib/host/exitcode"
)

// Version is set when a release is built.
var Version = "dev"

// Common are the flags every program has.
type Common struct {
	Config  string           `default:"/etc/hafs/hafs.yml" type:"path" help:"Settings of this server."`
	Verbose bool             `short:"v" help:"Log more."`
	Version kong.VersionFlag `help:"Print the version and exit."`
}

// Settings reads the settings file the flags name.
func (c Common) Settings() (config.Settings, error) { return config.Load(c.Config) }

// Record reads the settings and the newest generation of this server. Settings whose name the record does not have are refused: they are another
// server's, or this one has never been in the cluster.
func (c Common) Record() (config.Settings, record.Record, error) {
	settings, err := c.Settings()
	if err != nil {
		return config.Settings{}, record.Record{}, err
	}
	r, err := record.Store{Directory: settings.StateDirectory}.Current()
	if err != nil {
		return config.Settings{}, record.Record{}, err
	}
	if _, known := r.Server(settings.Name); !known {
		return config.Settings{}, record.Record{}, exitcode.With(exitcode.Refused,
			fmt.Errorf("settings %s: name: %s is not in the server list of %s", c.Config, settings.Name, r))
	}
	return settings, r, nil
}

// Log is for people on a terminal and JSON otherwise, always on stderr.
func (c Common) Log() zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.DurationFieldInteger = true
	level := zerolog.InfoLevel
	if c.Verbose {
		level = zerolog.DebugLevel
	}
	if isatty.IsTerminal(os.Stderr.Fd()) {
		out := zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
		return zerolog.New(out).Level(level).With().Timestamp().Logger()
	}
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

// Hint is an error with a line that says what to try.
type Hint struct {
	Err  error
	Text string
}

func (h Hint) Error() string { return h.Err.Error() }
func (h Hint) Unwrap() error { return h.Err }

// Main parses the arguments into cli, a pointer to a struct with a Run method or commands that have one, and runs it with a context that
// ends at SIGTERM and SIGINT. It is the only place that ends the process.
//
// about is the help text: what the program does, examples, and its exit codes.
func Main(about string, cli any) {
	parser, err := kong.New(cli, kong.Description(about), kong.UsageOnError(), kong.Vars{"version": Version},
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}))
	if err != nil {
		panic(err)
	}
	run, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	run.BindTo(ctx, (*context.Context)(nil))
	err = run.Run()
	stop()
	os.Exit(Report(parser.Model.Name, err))
}

// Report prints an error as people want it, with its hint, and returns the exit status.
func Report(program string, err error) int {
	if err == nil {
		return exitcode.Done
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", program, strings.TrimSuffix(err.Error(), "\n"))
	var hint Hint
	if errors.As(err, &hint) {
		fmt.Fprintf(os.Stderr, "%s: hint: %s\n", program, hint.Text)
	}
	return exitcode.Of(err)
}
