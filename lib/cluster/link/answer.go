package link

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"hafs/lib/cluster/agree"
	"hafs/lib/cluster/lease"
	"hafs/lib/cluster/record"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/problem"
	"hafs/lib/host/socket"
)

// greeting is the first line on the local socket: who asks. hafs-gate names the server whose key opened the session and sends the
// session's two descriptors along; a command of this server names nobody.
type greeting struct {
	From string `json:"from"`
}

func (d *Daemon) accept(ctx context.Context, listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		go d.converse(ctx, conn)
	}
}

func (d *Daemon) converse(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	first, files, err := socket.Receive(conn, 2)
	if err != nil {
		d.Log.Debug().Err(err).Msg("local greeting")
		return
	}
	line, rest, _ := bytes.Cut(first, []byte("\n"))
	var hello greeting
	if err := json.Unmarshal(line, &hello); err != nil {
		return
	}
	if hello.From == "" {
		stream := struct {
			io.Reader
			io.Writer
		}{io.MultiReader(bytes.NewReader(rest), conn), conn}
		_ = serve(stream, func(q Request) Reply { return d.relay(ctx, q) })
		return
	}
	if len(files) != 2 {
		return
	}
	stream := struct {
		io.Reader
		io.Writer
	}{files[0], files[1]}
	stopStream := context.AfterFunc(ctx, func() { files[0].Close(); files[1].Close() })
	defer stopStream()
	_ = serve(stream, func(q Request) Reply { return d.answer(hello.From, q) })
	files[0].Close()
	files[1].Close()
}

// relay answers a command of this server: about what it knows, or by asking another server.
func (d *Daemon) relay(ctx context.Context, q Request) Reply {
	if q.Kind == View {
		return Reply{View: d.view()}
	}
	ctx, cancel := context.WithTimeout(ctx, AskPatience)
	defer cancel()
	r, err := d.ask(ctx, q.To, q)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %s", AskPatience)
	}
	if err != nil && r.Error == "" {
		r.Error, r.ProblemID, r.ProblemPart = err.Error(), problem.Of(err), problem.PartOf(err)
	}
	return r
}

func (d *Daemon) view() map[string]Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	view := map[string]Peer{}
	for name, p := range d.peers {
		view[name] = p.snapshot()
	}
	for name, at := range d.heard {
		p := view[name]
		p.Heard = time.Since(at)
		view[name] = p
	}
	return view
}

// answer answers one question of a server of the cluster, or of this one.
func (d *Daemon) answer(from string, q Request) Reply {
	d.mu.Lock()
	have, confirmed, voted := d.record, d.confirmed, d.voted
	if q.Kind == Beat && q.Cluster == have.Cluster {
		if q.Healthy {
			d.hear(from, time.Now())
		}
		d.said(from, q.Examination)
		d.sought[from] = max(d.sought[from], q.Lease)
		if q.Generation > have.Generation {
			d.newer[from] = q.Generation
			d.nudge()
		}
	}
	d.mu.Unlock()
	if from != d.Settings.Name && q.Cluster != have.Cluster {
		return Reply{Error: fmt.Sprintf("%s is of cluster %q, not %q", d.Settings.Name, have.Cluster, q.Cluster)}
	}
	switch q.Kind {
	case Beat:
		return Reply{Facts: d.facts(have, voted)}
	case Fetch:
		return Reply{Record: &have}
	case Locate:
		position, err := d.position(have)
		if err != nil {
			return Reply{Error: err.Error()}
		}
		return Reply{Position: position}
	case Inquire:
		return Reply{Details: d.details(have, confirmed, voted)}
	case Prepare, Accept:
		a, err := d.vote(from, q)
		if err != nil {
			return Reply{Error: err.Error()}
		}
		return Reply{Answer: &a}
	case Install:
		if q.Record == nil {
			return Reply{Error: "install: no record"}
		}
		if err := d.install(*q.Record, d.store.Install, "chosen, said "+from); err != nil {
			return Reply{Error: err.Error()}
		}
		return Reply{}
	}
	return Reply{Error: fmt.Sprintf("unknown question %q", q.Kind)}
}

// hear notes a heartbeat that came in; mu is held.
func (d *Daemon) hear(from string, now time.Time) {
	d.heard[from] = now
	if from == d.record.FS.Name {
		d.fsHeard = now
	}
	if p := d.peers[from]; p != nil {
		p.hear(now)
	}
}

func (d *Daemon) facts(have record.Record, voted uint64) *Facts {
	f := Facts{Cluster: have.Cluster, Generation: have.Generation, Version: d.Version, Examination: d.Settings.ExaminationTime}
	healthy, p := d.health()
	d.mu.Lock()
	bare := d.bare
	f.Bare, f.Wanted = bare.told(have.Role(d.Settings.Name) == record.RoleFS, lease.Clock()), d.wanted
	f.FreeBytes, f.SizeBytes = bare.free, bare.size
	for _, another := range []problem.Problem{d.voteDamage, bare.problem} {
		if p.Text == "" {
			p = another
		}
	}
	d.mu.Unlock()
	f.Healthy, f.Problem, f.ProblemID, f.ProblemPart = healthy, p.Text, p.ID, p.Part
	if voted > have.Generation {
		f.Voted = voted
	}
	if have.Role(d.Settings.Name) != record.RoleFailed { // then nobody cares, and an answer need not read a file
		return &f
	}
	f.Fit = bare.looked && bare.how == "" && d.fit(have)
	return &f
}

// fit says whether hafs-role has brought this server, which has failed, up to date. What it said before hafs-promote init --empty is of another copy.
func (d *Daemon) fit(have record.Record) bool {
	var role struct {
		Generation uint64 `json:"generation"`
		Fit        bool   `json:"fit"`
	}
	said, err := os.Stat(d.Settings.Run("role.json"))
	if err != nil {
		return false
	}
	if taken, err := os.Lstat(d.Settings.Refilling()); err == nil && !said.ModTime().After(taken.ModTime()) {
		return false
	}
	text, err := os.ReadFile(d.Settings.Run("role.json"))
	return err == nil && json.Unmarshal(text, &role) == nil && role.Fit && role.Generation == have.Generation
}

func (d *Daemon) details(have record.Record, confirmed bool, voted uint64) *Details {
	x := Details{Facts: *d.facts(have, voted), Confirmed: confirmed, Leased: d.serving.leased(), Peers: d.view(), Problems: d.further(time.Now())}
	x.Role, _ = os.ReadFile(d.Settings.Run("role.json"))
	x.Mirror, _ = os.ReadFile(d.Settings.Run("mirror.json"))
	x.Dial, _ = os.ReadFile(d.Settings.Run("dial.json"))
	for _, text := range []*json.RawMessage{&x.Role, &x.Mirror, &x.Dial} {
		if !json.Valid(*text) {
			*text = nil
		}
	}
	x.FreeBytes, x.SizeBytes = x.Facts.FreeBytes, x.Facts.SizeBytes
	_, err := os.Lstat(d.Settings.Refilling())
	x.Refilling = err == nil
	return &x
}

// vote answers a prepare or an accept. The vote is on disk before the answer is given.
func (d *Daemon) vote(from string, q Request) (agree.Answer, error) {
	d.voting.Lock()
	defer d.voting.Unlock()
	if q.Ballot == nil || q.Record == nil {
		return agree.Answer{}, fmt.Errorf("%s: no ballot or no record", q.Kind)
	}
	d.mu.Lock()
	before := d.voted
	voter := Voter{
		Self: d.Settings.Name, Have: d.record, Confirmed: d.confirmed, HandsOver: from == d.record.FS.Name && q.Lease > d.sought[from],
		Silence: time.Since(d.fsHeard), Examination: d.times.Longest,
	}
	refusal, refused := voter.Refusal(from, *q.Record)
	if !refused && q.Kind == Accept {
		d.voted = q.Record.Generation // before FS can be heard again: the answer must not count for its lease
	}
	d.mu.Unlock()
	if refused {
		return refusal, nil
	}
	vote, err := d.votes.Load(q.Record.Generation)
	if err != nil {
		d.mu.Lock()
		d.noteDamage(err)
		d.mu.Unlock()
		return agree.Answer{}, err
	}
	next, a := Cast(vote, q.Kind, *q.Ballot, *q.Record)
	if a.Yes {
		if err := d.votes.Save(next); err != nil {
			return agree.Answer{}, err
		}
	} else {
		d.mu.Lock()
		d.voted = before
		d.mu.Unlock()
	}
	return a, nil
}

// position is how far hafs-mirror says that this server's copy has come. A copy that was not fed in every generation since is of an older share: it is
// not complete any more, also before its feeder has found that out.
func (d *Daemon) position(have record.Record) (*repair.Position, error) {
	d.mu.Lock()
	bare := d.bare
	d.mu.Unlock()
	if !bare.looked { // what is noted may be of a disk that is not there
		return nil, fmt.Errorf("%s has not looked yet whether its directory holds the share", d.Settings.Name)
	}
	p := readPosition(d.Settings.Position())
	if p == nil || bare.how != "" {
		return nil, nil
	}
	for n := p.Generation; p.Complete && n <= have.Generation; n++ {
		then, err := d.store.Generation(n)
		role := then.Role(d.Settings.Name)
		p.Complete = err == nil && (role == record.RoleDRS1 || role == record.RoleDRS2)
	}
	return p, nil
}
