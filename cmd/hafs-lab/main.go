// hafs-lab keeps nine guests on this machine and breaks them on purpose.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"hafs/lib/host/exitcode"
	"hafs/lib/lab/guests"
)

// commands lists every subcommand; each group has a file of its own.
type commands struct {
	Dir   string `help:"Folder of the lab." default:"build/lab" type:"path" env:"HAFS_LAB_DIRECTORY"`
	Netns string `help:"Network namespace for a lab that is new; by default one of its own, named after its folder."`

	Up   upCommand   `cmd:"" help:"Make the lab whole: nine guests that answer. What runs is left alone."`
	Down downCommand `cmd:"" help:"Take the lab away, the guests' disks included. Packed trees stay."`
	List listCommand `cmd:"" help:"Print the guests: name, address, state, process id of the init."`

	Start  startCommand  `cmd:"" help:"Start guests that are down, with the disks they had."`
	Stop   stopCommand   `cmd:"" help:"Shut guests down cleanly."`
	Kill   killCommand   `cmd:"" help:"Take the power of guests away, without a last word on the network."`
	Freeze freezeCommand `cmd:"" help:"Stop every process of guests at once, as a hung machine does."`
	Thaw   thawCommand   `cmd:"" help:"Let frozen guests go on."`

	Cut  cutCommand  `cmd:"" help:"Cut the cable of a guest, or the path between two."`
	Heal healCommand `cmd:"" help:"Take cuts back: those of some guests, or all."`

	Exec execCommand `cmd:"" help:"Run a command on a guest without its network."`
	Push pushCommand `cmd:"" help:"Copy a file or what a folder holds to a guest without its network."`
	SSH  sshCommand  `cmd:"" name:"ssh" help:"Reach a guest by ssh."`

	Await   awaitCommand   `cmd:"" help:"Wait until the cluster on the guests has a shape; say what is missing when it has not."`
	Oracle  oracleCommand  `cmd:"" help:"Wait until every replica is identical to the share; print the differences when not."`
	Restore restoreCommand `cmd:"" help:"Heal, thaw and start what is broken, have it taken back, and bring the paper's roles back."`
	Break   breakCommand   `cmd:"" help:"Make guests fail while a client works, wait for the repair, and print what was measured."`
	Crash   crashCommand   `cmd:"" help:"Kill a service's process again and again while a client works; fail when an operation fails or a file is lost."`
	Move    moveCommand    `cmd:"" help:"Move the file sharing server's role while a client works; fail when an operation fails or a file is lost."`
	Divide  divideCommand  `cmd:"" help:"Cut the network and heal it while clients work on both sides; fail when anything acknowledged is lost."`
	Soak    soakCommand    `cmd:"" help:"Nothing fails: clients work for a long time, and no server may take another for dead."`
	Torture tortureCommand `cmd:"" help:"One failure and return after the other, for a long time; fail when an operation fails, a file is lost or what is whole is called wrong."`
	Demo    demoCommand    `cmd:"" help:"The paper's experiment: M2, W3 and L1 fail in turn; report, table and pictures."`
	Report  reportCommand  `cmd:"" help:"Print the table of a report again."`

	Bench    benchCommand    `cmd:"" help:"Measure HAFS beside rsync, lsyncd, csync2, syncthing, unison, GlusterFS and keepalived."`
	Exercise exerciseCommand `cmd:"" help:"Do to files what programs do, and compare all replicas after each exercise."`
	Scenario scenarioCommand `cmd:"" help:"Run scenarios of molecule/ on the lab, one after the other."`

	Client  clientCommand  `cmd:"" help:"On a guest: use the share like a program does, and log every operation."`
	Fill    fillCommand    `cmd:"" help:"On a guest: write files of one size."`
	Errand  errandCommand  `cmd:"" help:"On a guest: one step of the benchmark."`
	Perform performCommand `cmd:"" help:"On a guest: do one exercise in a folder."`
}

const description = `Keeps nine guests (L1-L3, M1-M3, W1-W3) on this machine and breaks them on purpose.

Examples:
  hafs-lab up
  hafs-lab kill L1
  hafs-lab start L1
  hafs-lab cut M1 M2 --one-way
  hafs-lab exec M2 -- journalctl -b
  hafs-lab await --fs W3 --pair 1=M2/M3 --failed L1 --complete
  hafs-lab oracle --within 10s
  hafs-lab demo --runs 3

Exit status: 0 done, 1 failed, 3 refused, 80 wrong command line. exec and ssh end with the status of what they ran.`

func main() {
	zerolog.TimeFieldFormat = zerolog.TimeFormatUnixMs
	log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05.000"}).With().Timestamp().Logger()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	var c commands
	chosen := kong.Parse(&c, kong.Name("hafs-lab"), kong.Description(description), kong.UsageOnError())
	chosen.BindTo(ctx, (*context.Context)(nil))
	opened, err := guests.Open(c.Dir, c.Netns, log)
	if err == nil {
		err = chosen.Run(opened)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hafs-lab:", err)
	}
	os.Exit(exitcode.Of(err))
}
